"""Background work of hospitals."""

from __future__ import annotations

from common.jobs import Job

PROBE_DUE = Job("hospitals.tasks.probe_due", queue="default", soft_limit_s=60, periodic_every_s=20)
PROBE = Job("hospitals.tasks.probe", queue="discovery", soft_limit_s=300)
