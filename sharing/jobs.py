"""Background work of sharing. The rows are the truth; a message is only a wake-up."""

from __future__ import annotations

from common.jobs import Job

# Each lane is a queue of its own: what somebody waits for never stands behind what nobody waits for.
LANE_QUEUES = ("transfer.on-demand", "transfer.today", "transfer.backfill")

PULL_SERIES = Job("sharing.tasks.pull_series", queue="transfer", soft_limit_s=9000)
PLAN = Job("sharing.tasks.plan", queue="default", soft_limit_s=60, periodic_every_s=2)
DISCOVER_DUE = Job(
    "sharing.tasks.discover_due", queue="default", soft_limit_s=60, periodic_every_s=60
)
DISCOVER_WINDOW = Job("sharing.tasks.discover_window", queue="discovery", soft_limit_s=3600)
SWEEP = Job("sharing.tasks.sweep", queue="default", soft_limit_s=3600, periodic_every_s=6 * 3600)
GATHER = Job("sharing.tasks.gather", queue="gathering", soft_limit_s=3600, periodic_every_s=5)
FINISH_MESSAGES = Job(
    "sharing.tasks.finish_messages", queue="default", soft_limit_s=600, periodic_every_s=60
)
PURGE = Job("sharing.tasks.purge", queue="default", soft_limit_s=3600, periodic_every_s=600)
CONSULTATIONS = Job(
    "sharing.tasks.consultations", queue="default", soft_limit_s=300, periodic_every_s=60
)
# What an older release left open, and the candidates of who is new: each run takes most of a minute at most.
KNOW_PATIENTS = Job(
    "sharing.tasks.know_patients", queue="default", soft_limit_s=300, periodic_every_s=60
)
FIND_UNUSUAL = Job(
    "sharing.tasks.find_unusual", queue="default", soft_limit_s=1800, periodic_every_s=300
)
READ_REPORTS = Job("sharing.tasks.read_reports", queue="default", soft_limit_s=600)
# Reports by accession number that came in the same moment as their study.
JOIN_REPORTS = Job(
    "sharing.tasks.join_reports", queue="default", soft_limit_s=60, periodic_every_s=60
)
REPAIR_TEXTS = Job(
    "sharing.tasks.repair_texts", queue="default", soft_limit_s=300, periodic_every_s=15
)
