"""Background work of the outbox."""

from common.jobs import Job

DELIVER = Job("common.events.tasks.deliver", queue="events", soft_limit_s=600, periodic_every_s=10)
