"""What senders stored instance by instance becomes one pack for each series (ADR 0015).

A series is gathered when nothing has come for a while, or when much has come. Killed at any point, it is
gathered again: the incoming packs stay until the revision is current, and an hour more for their readers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import Count, Exists, Max, Min, OuterRef, Sum
from django.utils import timezone

from common.archive.documents import entry_from_json
from common.archive.pack import PackWriter
from common.errors import DomainError
from common.storage import object_store
from common.storage.cache import forget_object
from sharing.domain.completeness import Listing
from sharing.errors import ArchiveDamaged
from sharing.models import (
    IncomingPack,
    Quarantined,
    ReceivedInstance,
    Series,
    SeriesRevision,
    Study,
    Transfer,
)
from sharing.services import proving, quarantine, revisions
from sharing.services.locks import GATHER, if_free, one_at_a_time
from sharing.services.quarantine import Asked
from sharing.services.receiving import JsonSpool, Received
from sharing.services.spool import spool_folder

log = structlog.get_logger(__name__)

QUIET = timedelta(seconds=10)  # nothing came for so long: the sender is done with the series
OLDEST = timedelta(minutes=30)  # packed at the latest, however steadily it grows
MANY, LARGE_BYTES = 2_000, 1 << 30
KEPT_FOR_READERS = timedelta(hours=1)
UNPROVED = timedelta(minutes=2)
AT_ONCE = 200


@dataclass(frozen=True)
class _Named:
    study_instance_uid: str
    series_instance_uid: str


def gather_due(*, limit: int = AT_ONCE) -> int:
    """Pack the series that are due; returns how many. One that fails is tried again at the next call."""
    now = timezone.now()
    waiting = (
        ReceivedInstance.objects.filter(packed_at=None)
        .values("series_id")
        .annotate(
            newest=Max("stored_at"),
            oldest=Min("stored_at"),
            many=Count("pk"),
            size=Sum("size_bytes"),
        )
        .order_by("oldest")
    )
    due = [
        row["series_id"]
        for row in waiting
        if row["newest"] < now - QUIET
        or row["oldest"] < now - OLDEST
        or row["many"] >= MANY
        or row["size"] >= LARGE_BYTES
    ]
    return sum(try_to_gather(series_id=series_id) for series_id in due[:limit])


def run() -> None:
    """One round: pack what is due and prove what was left unproved. One round at a time, wherever it runs."""
    with if_free(GATHER, 0) as mine:
        if mine:
            gather_due()
            prove_overdue()


def try_to_gather(*, series_id: int) -> bool:
    """As ``gather``; what fails is logged and left for the next time."""
    try:
        return gather(series_id=series_id)
    except (DomainError, OSError) as error:
        log.warning("gather.failed", series_id=series_id, reason=str(error))
        return False


def gather(*, series_id: int) -> bool:
    """Pack what was received of one series into its next revision, read it back, and certify its study.

    False when nothing waits, or the series got another revision meanwhile.

    Raises:
        ArchiveDamaged: what was received, or what the current revision holds, is not what was written.
    """
    with one_at_a_time(GATHER, series_id):
        revision = pack_waiting(series_id=series_id)
    if revision is None:
        return False
    prove(series_id=series_id)
    return True


def pack_waiting(*, series_id: int) -> SeriesRevision | None:
    """Pack what was received of a series, unproved. The caller is alone with it (``GATHER``).

    Raises:
        ArchiveDamaged: as ``gather``.
    """
    series = (
        Series.objects.select_related("current", "study__institution").filter(pk=series_id).first()
    )
    if series is None:
        return None
    rows = list(
        ReceivedInstance.objects.filter(series_id=series_id, packed_at=None)
        .select_related("pack")
        .order_by("pk")
    )
    return _pack(series, rows) if rows else None


def prove(*, series_id: int) -> None:
    """Read the current revision back; if it is sound, the series is verified, and its study certified."""
    series = Series.objects.select_related("current").get(pk=series_id)
    revision = series.current
    if revision is None:
        return
    index = revisions.stored_index(revision)
    proving.read_back(index=index)
    revisions.mark_verified(
        revision=revision,
        held_uids=[entry.sop_instance_uid for entry in index.instances],
        listing=Listing(count=series.listed_instances),
        cut_off=False,
    )
    proving.certify(study_id=series.study_id)


def prove_overdue(*, limit: int = AT_ONCE) -> int:
    """Prove what was packed and whose worker died before it was read back. Returns how many."""
    open_ = Transfer.objects.filter(series=OuterRef("pk"), state__in=Transfer.OPEN)
    overdue = (
        Series.objects.filter(
            state=Series.State.STORED,
            newest_received=0,
            current__stored_at__lt=timezone.now() - UNPROVED,
            study__state__in=[Study.State.PULLING, Study.State.INCOMPLETE],
        )
        .exclude(Exists(open_))
        .values_list("pk", flat=True)[:limit]
    )
    done = 0
    for series_id in list(overdue):
        try:
            prove(series_id=series_id)
            done += 1
        except DomainError as error:
            log.warning("prove.failed", series_id=series_id, reason=str(error))
    return done


def _pack(series: Series, rows: list[ReceivedInstance]) -> SeriesRevision | None:
    base = series.current
    index = revisions.stored_index(base) if base else None
    held = revisions.entries_by_uid(index.instances) if index else {}
    fresh = [row for row in rows if row.sop_instance_uid not in held]
    _settle_known(series, [row for row in rows if row.sop_instance_uid in held], held)
    if not fresh:
        return None
    with spool_folder("gather") as folder:
        writer, spool = PackWriter(folder / "series.zip"), JsonSpool(folder / "metadata")
        try:
            received: list[Received] = []
            if base is not None and index is not None:
                received += revisions.carry_over(
                    index=index, prefix=base.prefix, writer=writer, spool=spool
                )
            received += _copied(fresh, writer, spool)
            listing = Listing(count=series.listed_instances)
            sealed = revisions.seal(
                institution_code=series.study.institution.code,
                held=_Named(series.study.study_instance_uid, series.series_instance_uid),
                number=(base.number if base else 0) + 1,
                received=received,
                writer=writer,
                spool=spool,
                character_set=index.character_set if index else "",
                listing=listing,
            )
        finally:
            writer.abort()
            spool.close()
    with transaction.atomic():
        locked = Series.objects.select_for_update(no_key=True).filter(pk=series.pk).first()
        if locked is None or locked.current_id != (base.pk if base else None):
            return (
                None  # a pull was faster, or the study was deleted: the objects are for the sweeper
            )
        return revisions.write_rows(series=locked, sealed=sealed, listing=listing)


def _copied(
    rows: list[ReceivedInstance], writer: PackWriter, spool: JsonSpool
) -> Iterator[Received]:
    store = object_store()
    for row in rows:
        entry = entry_from_json(row.entry)
        writer.begin()
        with store.stream(row.pack.object_key, offset=entry.offset, length=entry.size) as chunks:
            for chunk in chunks:
                writer.write(chunk)
        packed = writer.commit(f"{entry.sop_instance_uid}.dcm")
        if packed.sha256 != row.sha256:
            raise ArchiveDamaged(
                f"{row.pack.object_key}: {entry.sop_instance_uid} does not hash to what was stored"
            )
        offset, length = spool.add(zlib.decompress(row.header))
        yield Received(replace(entry, offset=packed.offset), offset, length)


def _settle_known(series: Series, rows: list[ReceivedInstance], held: dict[str, str]) -> None:
    """What a pull brought too, meanwhile: the same bytes are done with, others become a case."""
    for row in rows:
        if held[row.sop_instance_uid] == row.sha256:
            continue
        entry = entry_from_json(row.entry)
        with object_store().stream(
            row.pack.object_key, offset=entry.offset, length=entry.size
        ) as chunks:
            quarantine.keep(
                asked=Asked(
                    institution_id=series.study.institution_id,
                    institution_code=series.study.institution.code,
                    study_instance_uid=series.study.study_instance_uid,
                    series_instance_uid=series.series_instance_uid,
                ),
                reason=Quarantined.Reason.CONFLICT,
                text="The hospital's archive sent this UID with other bytes than were stored by push.",
                sop_instance_uid=row.sop_instance_uid,
                sha256=row.sha256,
                size_bytes=row.size_bytes,
                data=_Chunks(chunks),
                actor="gatherer",
            )
    if not rows:
        return
    with transaction.atomic():
        locked = Series.objects.select_for_update(no_key=True).get(pk=series.pk)
        ReceivedInstance.objects.filter(pk__in=[row.pk for row in rows]).update(
            packed_at=timezone.now()
        )
        left = ReceivedInstance.objects.filter(series=locked, packed_at=None)
        newest = left.aggregate(newest=Max("pk"))["newest"] or 0
        Series.objects.filter(pk=locked.pk).update(newest_received=newest)


class _Chunks:
    """Chunks as something to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def forget_packed(*, older_than: timedelta = KEPT_FOR_READERS) -> int:
    """Remove incoming packs of which every instance is in a revision since long; returns how many."""
    before = timezone.now() - older_than
    # Not before the revision was read back: until then the incoming pack is the only proved copy.
    ReceivedInstance.objects.filter(
        packed_at__lt=before, series__current__verified_at__isnull=False
    ).delete()
    left = ReceivedInstance.objects.filter(pack=OuterRef("pk"))
    done = 0
    for pack in IncomingPack.objects.filter(stored_at__lt=before).exclude(Exists(left))[:10_000]:
        object_store().delete(pack.object_key)
        forget_object(pack.object_key)
        pack.delete()
        done += 1
    return done
