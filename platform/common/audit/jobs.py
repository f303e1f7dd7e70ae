"""Background work of the audit trail."""

from common.jobs import Job

CHAIN_ENTRIES = Job("common.audit.tasks.chain_entries", soft_limit_s=300, periodic_every_s=15)
ANCHOR_DAYS = Job("common.audit.tasks.anchor_days", soft_limit_s=120, periodic_every_s=900)
VERIFY_CHAIN = Job("common.audit.tasks.verify_chain", soft_limit_s=9000, periodic_every_s=24 * 3600)
SEND_ENTRIES = Job("common.audit.tasks.send_entries", soft_limit_s=300, periodic_every_s=30)
