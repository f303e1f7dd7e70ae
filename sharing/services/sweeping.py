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
from common.archive.documents import SeriesIndex
from common.archive.errors import DocumentUnreadable
from common.archive.keys import CertificateKey
from common.errors import DomainError
from common.storage import ObjectMissing, ObjectStat, object_store
from hospitals import selectors as hospital_selectors
from hospitals.errors import InstitutionUnknown
from sharing.models import Certificate, SeriesRevision
from sharing.services import adopting

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
    than ``older_than``.

    Never swept: deletions and legal holds, bytes in quarantine, and a whole revision or a certificate that
    the database knows no successor of. Else a sweep over a lost index would empty the archive before it is rebuilt.
    """
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
    _sweep_incoming(before, swept, dry_run=dry_run)
    if not dry_run:
        swept.uploads = object_store().abandon_uploads(older_than=older_than)
        swept.spools = _sweep_spools(before)
        _record(swept)
    return swept


def _sweep_incoming(before: datetime, swept: Swept, *, dry_run: bool) -> None:
    """Packs of senders whose request died before it was answered: what is not held is taken in, the rest goes."""
    for stat in object_store().list("incoming/"):
        swept.looked_at += 1
        if stat.modified_at >= before or adopting.is_known(stat.key):
            continue
        if dry_run:
            swept.orphans.append(stat.key)
            continue
        try:
            adopted = adopting.adopt(stat.key, actor="sweeper", written_at=stat.modified_at)
        except DomainError as error:
            log.warning("sweep.incoming_failed", key=stat.key, reason=error.message)
            continue
        if adopted:
            log.info("sweep.adopted", key=stat.key, instances=adopted)
        else:
            swept.orphans.append(stat.key)
            swept.size_bytes += stat.size


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
    unnamed = [stat for stat in stats if prefixes[stat.key] not in known and stat.key not in issued]
    return [stat for stat in unnamed if _is_replaceable(stat.key)]


def _is_replaceable(key: str) -> bool:
    """Whether an object that no row names is a remnant: part of a revision, or one that was made again."""
    found = keys.parse_revision_key(key)
    if found is None:
        certificate = keys.parse_certificate_key(key)
        return certificate is not None and _is_certified(certificate)
    current = SeriesRevision.objects.filter(
        series__series_instance_uid=found.series_instance_uid,
        series__study__study_instance_uid=found.study_instance_uid,
        series__study__institution_id__in=_institution_ids(found.institution_code),
        number__gte=found.number,
    )
    return current.exists() or not _is_whole(found.prefix)


def _is_whole(prefix: str) -> bool:
    try:
        index = object_store().get_bytes(keys.index_key(prefix))  # the last to be written
        object_store().head(keys.metadata_key(prefix))
        # Repaired texts are a revision of their own whose pack is the former one's (charset_repair).
        object_store().head(SeriesIndex.from_bytes(index).pack_key)
    except ObjectMissing:
        return False
    except DocumentUnreadable:
        return True  # not a remnant but damaged: left for who repairs it
    return True


def _is_certified(key: CertificateKey) -> bool:
    return Certificate.objects.filter(
        study__study_instance_uid=key.study_instance_uid,
        study__institution_id__in=_institution_ids(key.institution_code),
        number__gte=key.number,
    ).exists()


def _institution_ids(code: str) -> list[int]:
    try:
        return [hospital_selectors.get_institution(code=code).pk]
    except InstitutionUnknown:
        return []


def _batches(stats: Iterator[ObjectStat]) -> Iterator[list[ObjectStat]]:
    while batch := list(islice(stats, BATCH)):
        yield batch


def _sweep_spools(before: datetime) -> int:
    root = settings.DATA_DIR / "spool"
    removed = 0
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.stat().st_mtime < before.timestamp():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                folder.unlink(missing_ok=True)
            removed += 1
    return removed
