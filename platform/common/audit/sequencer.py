"""The sequencer: gives entries their place in the chain, in batches, so that writers never queue at its end."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from common import logs
from common.audit import chain
from common.audit.models import (
    AuditEntry,
    ChainLink,
    DailyAnchor,
    PendingEntry,
    RepeatedAccess,
)

log = logs.get_logger(__name__)

BATCH = 2000
_LOCK = 0x61756469  # "audi": one sequencer at a time, whoever starts it
_PAUSE = timedelta(minutes=1)
_LONGEST = timedelta(minutes=10)


def chain_all(*, batch: int = BATCH) -> int:
    """Link every committed entry that has no link yet; returns how many. Safe to run in several processes."""
    total = 0
    while linked := _chain_batch(batch):
        total += linked
    return total


@transaction.atomic
def _chain_batch(batch: int) -> int:
    _one_at_a_time()
    waiting = list(PendingEntry.objects.order_by("entry_id").values_list("pk", flat=True)[:batch])
    rows = AuditEntry.objects.filter(pk__in=waiting).order_by("pk").values(*chain.COLUMNS)
    last = ChainLink.objects.order_by("-sequence").first()
    sequence, prev_hash = (last.sequence, bytes(last.hash)) if last else (0, chain.GENESIS)
    links = []
    for row in rows:
        sequence += 1
        digest = chain.link_hash(prev_hash=prev_hash, sequence=sequence, fields=chain.content(row))
        links.append(
            ChainLink(sequence=sequence, entry_id=row["id"], prev_hash=prev_hash, hash=digest)
        )
        prev_hash = digest
    ChainLink.objects.bulk_create(links)
    PendingEntry.objects.filter(pk__in=waiting).delete()
    return len(links)


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


@transaction.atomic
def write_repeated(*, now: datetime | None = None, limit: int = BATCH) -> int:
    """Turn counted reads that have paused for a minute, or run for ten, into entries; returns how many."""
    now = now or timezone.now()
    over = RepeatedAccess.objects.filter(
        Q(last_at__lte=now - _PAUSE) | Q(first_at__lte=now - _LONGEST)
    )
    rows = list(over.select_for_update(skip_locked=True).order_by("pk")[:limit])
    AuditEntry.objects.bulk_create(
        AuditEntry(
            at=row.first_at,
            count=row.count,
            **{**row.values, "detail": _counted(row)},
        )
        for row in rows
    )
    RepeatedAccess.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _counted(row: RepeatedAccess) -> dict[str, Any]:
    return {**row.values.get("detail", {}), "last_at": chain.instant(row.last_at)}


@transaction.atomic
def anchor_days(*, today: date | None = None) -> list[DailyAnchor]:
    """Write the chain's head as the anchor of yesterday, once; also told in the log, which leaves this database.

    The day is the one of the clock on the wall (``TIME_ZONE``). A day on which nobody ran this has no anchor: the
    next one covers it, since each hash covers everything before it.
    """
    _one_at_a_time()
    yesterday = (today or timezone.localdate()) - timedelta(days=1)
    head = ChainLink.objects.order_by("-sequence").first()
    if head is None or DailyAnchor.objects.filter(day__gte=yesterday).exists():
        return []
    anchor = DailyAnchor.objects.create(
        day=yesterday, sequence=head.sequence, hash=bytes(head.hash)
    )
    log.info(
        "audit.anchored",
        day=str(anchor.day),
        sequence=anchor.sequence,
        head=bytes(anchor.hash).hex(),
    )
    return [anchor]
