"""What of the chain has gone out to the audit record repository."""

from __future__ import annotations

from itertools import islice

from django.conf import settings
from django.db import transaction

from common import logs
from common.audit import syslog
from common.audit.dicom_message import Source
from common.audit.models import SentPosition
from common.audit.verify import linked_entries

log = logs.get_logger(__name__)
PIECE = 5_000


def send_new() -> int:
    """Send the links that have not gone out; returns how many. Nothing where no repository is set.

    Of a new repository the first message is of the first link that is made after it was set.
    """
    target = settings.AUDIT.syslog
    if target is None:
        return 0
    source = Source(settings.AUDIT.source_id, settings.AUDIT.site_id)
    name = f"{target.transport}://{target.host}:{target.port}"
    sent = 0
    with (
        transaction.atomic()
    ):  # one sender at a time; what went out is kept even if the next one fails
        position = SentPosition.of(name)
        items = islice(linked_entries(after=position.sequence), PIECE)
        try:
            for sequence in syslog.send(items, target=target, source=source):
                position.sequence, sent = sequence, sent + 1
        except syslog.RepositoryUnreachable as error:
            log.warning("audit.repository_unreachable", target=str(error), sent=sent)
        position.save(update_fields=["sequence"])
    return sent
