"""Orphans: what a crash left behind. Old enough, and no row points at it: it goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import structlog
from django.conf import settings
from django.utils import timezone

from common import audit
from common.archive import keys
from common.storage import ObjectStat, object_store
from sharing.models import Certificate, SeriesRevision

log = structlog.get_logger(__name__)

ORPHAN_AGE = timedelta(days=1)
BATCH = 1000


@dataclass
class Swept:
    """What a sweep looked at and removed."""

    looked_at: int = 0
    orphans: list[str] = field(default_factory=list)
    size_bytes: int = 0
    spools: int = 0
    uploads: int = 0


def sweep(*, older_than: timedelta = ORPHAN_AGE, dry_run: bool = False) -> Swept:
    """Remove revisions and certificates that no row names, abandoned uploads and spools, each older
    than ``older_than``. Bytes in quarantine are never swept."""
    swept = Swept()
    before = timezone.now() - older_than
    for batch in _batches(object_store().list("archive/")):
        swept.looked_at += len(batch)
        old = [stat for stat in batch if stat.modified_at < before]
        for stat in _without_row(old):
            swept.orphans.append(stat.key)
            swept.size_bytes += stat.size
            if not dry_run:
                object_store().delete(stat.key)
    if not dry_run:
        swept.uploads = object_store().abandon_uploads(older_than=older_than)
        swept.spools = _sweep_spools(before)
        _record(swept)
    return swept


def _record(swept: Swept) -> None:
    for key in swept.orphans:
        audit.record("sweeper", "object.sweep", object_type="object", object_id=key)
    log.info("sweep.done", looked_at=swept.looked_at, orphans=len(swept.orphans))


def _without_row(stats: list[ObjectStat]) -> list[ObjectStat]:
    parsed = {stat.key: keys.parse_revision_key(stat.key) for stat in stats}
    prefixes = {name: key.prefix if key is not None else "" for name, key in parsed.items()}
    wanted = set(prefixes.values()) - {""}
    known = set(SeriesRevision.objects.filter(prefix__in=wanted).values_list("prefix", flat=True))
    issued = set(
        Certificate.objects.filter(object_key__in=list(prefixes)).values_list(
            "object_key", flat=True
        )
    )
    return [stat for stat in stats if prefixes[stat.key] not in known and stat.key not in issued]


def _batches(stats: Iterator[ObjectStat]) -> Iterator[list[ObjectStat]]:
    while batch := list(islice(stats, BATCH)):
        yield batch


def _sweep_spools(before: datetime) -> int:
    root = settings.DATA_DIR / "spool"
    removed = 0
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.stat().st_mtime < before.timestamp():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed
