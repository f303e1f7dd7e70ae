"""A series revision: pack, then documents, then one transaction that makes it current (DESIGN section 3).

A crash in between leaves objects without a row, for the sweeper, and never half a series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import orjson
from django.contrib.postgres.aggregates import ArrayAgg
from django.db import transaction
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from common.archive import documents, keys
from common.archive.documents import InstanceEntry, SeriesIndex
from common.archive.pack import PackWriter
from common.dicom.names import name_grams
from common.storage import object_store
from sharing.domain.completeness import ComparedBy, Listing, compare
from sharing.domain.facts import series_facts, study_facts
from sharing.errors import ArchiveDamaged, LeaseLost
from sharing.models import ReceivedInstance, Series, SeriesRevision, Study
from sharing.services import assigning, transfers
from sharing.services.receiving import JsonSpool, Received
from sharing.services.transfers import Claim

JSON_TYPE = "application/json"


class NamedSeries(Protocol):
    """What names a series within an institution."""

    @property
    def study_instance_uid(self) -> str: ...

    @property
    def series_instance_uid(self) -> str: ...


@dataclass(frozen=True)
class Sealed:
    """What a revision holds, in the order of its documents, and the first instance's attributes."""

    index: SeriesIndex
    prefix: str
    size_bytes: int
    first: dict[str, Any]


def stored_index(revision: SeriesRevision) -> SeriesIndex:
    """The offset index of a revision, from the object store."""
    return SeriesIndex.from_bytes(object_store().get_bytes(keys.index_key(revision.prefix)))


def carry_over(
    *, index: SeriesIndex, prefix: str, writer: PackWriter, spool: JsonSpool, but: str = ""
) -> Iterator[Received]:
    """Copy the instances of the former revision into the new pack, byte for byte, ``but`` the one of this UID.

    Raises:
        ArchiveDamaged: an instance of the former revision is no longer what was written.
    """
    store = object_store()
    lines = documents.metadata_lines(store.get_bytes(keys.metadata_key(prefix)))
    for entry, line in zip(index.instances, lines, strict=True):
        if entry.sop_instance_uid == but:
            continue
        writer.begin()
        with store.stream(index.pack_key, offset=entry.offset, length=entry.size) as chunks:
            for chunk in chunks:
                writer.write(chunk)
        packed = writer.commit(f"{entry.sop_instance_uid}.dcm")
        if packed.sha256 != entry.sha256:
            raise ArchiveDamaged(
                f"{index.pack_key}: {entry.sop_instance_uid} does not hash to its index"
            )
        offset, length = spool.add(line)
        yield Received(replace(entry, offset=packed.offset), offset, length)


def seal(
    *,
    institution_code: str,
    held: NamedSeries,
    number: int,
    received: Iterable[Received],
    writer: PackWriter,
    spool: JsonSpool,
    character_set: str,
    listing: Listing,
) -> Sealed:
    """Close the pack and write the three objects of a revision; nothing is visible yet."""
    ordered = sorted(received, key=lambda item: item.order)
    pack = writer.seal()
    prefix = keys.revision_prefix(
        institution_code=institution_code,
        study_instance_uid=held.study_instance_uid,
        series_instance_uid=held.series_instance_uid,
        number=number,
        pack_digest=pack.digest,
    )
    index = SeriesIndex(
        institution_code=institution_code,
        study_instance_uid=held.study_instance_uid,
        series_instance_uid=held.series_instance_uid,
        number=number,
        pack_key=keys.pack_key(prefix),
        pack_size=pack.size,
        pack_digest=pack.digest,
        character_set=character_set,
        stored_at=timezone.now().isoformat(),
        listed_instances=listing.expected,
        compared_by=str(listing.compared_by),
        instances=tuple(item.entry for item in ordered),
    )
    store = object_store()
    store.put_file(index.pack_key, pack.path, move=True, content_type="application/zip")
    metadata = documents.metadata_bytes(
        spool.read(item.json_offset, item.json_length) for item in ordered
    )
    store.put_bytes(keys.metadata_key(prefix), metadata, content_type=JSON_TYPE)
    store.put_bytes(keys.index_key(prefix), index.to_bytes(), content_type=JSON_TYPE)
    first = orjson.loads(spool.read(ordered[0].json_offset, ordered[0].json_length))
    return Sealed(index=index, prefix=prefix, size_bytes=pack.size, first=first)


@transaction.atomic
def make_current(*, held: Claim, sealed: Sealed, listing: Listing) -> SeriesRevision:
    """Write the revision's row and point the series and the study at it, all or nothing.

    Raises:
        LeaseLost: another worker has taken the series over; the objects are left for the sweeper.
    """
    transfers.require_held(held)
    series = Series.objects.select_for_update(no_key=True).get(pk=held.series_id)
    former = series.current.number if series.current is not None else 0
    if sealed.index.number != former + 1:
        raise LeaseLost
    return write_rows(series=series, sealed=sealed, listing=listing)


def write_rows(*, series: Series, sealed: Sealed, listing: Listing) -> SeriesRevision:
    """The rows that follow from a revision's documents; the rebuild from the bucket writes the same."""
    index = sealed.index
    revision = SeriesRevision.objects.create(
        series=series,
        number=index.number,
        prefix=sealed.prefix,
        instance_count=len(index.instances),
        size_bytes=sealed.size_bytes,
        pack_digest=index.pack_digest,
        stored_at=datetime.fromisoformat(index.stored_at),
    )
    for name, value in asdict(series_facts(sealed.first)).items():
        setattr(series, name, value)
    waiting = _not_packed(series, index)
    series.current = revision
    series.instance_count = len(index.instances) + waiting["count"]
    series.size_bytes = sum(entry.size for entry in index.instances) + (waiting["size"] or 0)
    series.newest_received = waiting["newest"] or 0
    series.listed_instances = listing.expected
    series.compared_by = listing.compared_by
    series.state = Series.State.STORED
    series.save()
    refresh_study(study_id=series.study_id, series=series, first=sealed.first)
    return revision


def _not_packed(series: Series, index: SeriesIndex) -> dict[str, Any]:
    """What senders stored into the series meanwhile and this revision does not hold.

    What it does hold is packed from now on: the row stays for readers that were placed before.
    """
    if not series.newest_received:
        return {"count": 0, "size": 0, "newest": 0}
    rows = ReceivedInstance.objects.filter(series_id=series.pk, packed_at=None)
    held = entries_by_uid(index.instances)
    known = rows.filter(sop_instance_uid__in=list(held))
    same = [
        pk
        for pk, uid, sha256 in known.values_list("pk", "sop_instance_uid", "sha256")
        if held[uid] == sha256
    ]
    rows.filter(pk__in=same).update(packed_at=timezone.now())
    return rows.aggregate(count=Count("pk"), size=Sum("size_bytes"), newest=Max("pk"))


def refresh_study(*, study_id: int, series: Series, first: dict[str, Any]) -> None:
    """Bring the study's row in line with its series.

    What describes the patient and the study comes from the stored series with the smallest UID, so that the
    row does not depend on the order of arrival.
    """
    study = Study.objects.select_for_update(no_key=True).get(pk=study_id)
    stored = Q(current__isnull=False) | Q(newest_received__gt=0)
    totals = Series.objects.filter(study_id=study_id).aggregate(
        series=Count("pk"),
        instances=Sum("instance_count", filter=stored),
        size=Sum("size_bytes", filter=stored),
        modalities=ArrayAgg("modality", filter=~Q(modality=""), distinct=True),
        before=Count("pk", filter=stored & Q(series_instance_uid__lt=series.series_instance_uid)),
    )
    if not totals["before"]:
        before = assigning.said_by(study)
        for name, value in asdict(study_facts(first)).items():
            setattr(study, name, value)
        study.name_grams = name_grams(study.patient_name)
        assigning.assign_patient(study, before=before)
    study.series_count = totals["series"]
    study.instance_count = totals["instances"] or 0
    study.size_bytes = totals["size"] or 0
    study.modalities = sorted(totals["modalities"] or [])
    if study.state in (Study.State.INDEXED, Study.State.ARCHIVED):
        study.state = Study.State.PULLING
    study.save()


@transaction.atomic
def mark_verified(
    *, revision: SeriesRevision, held_uids: Iterable[str], listing: Listing, cut_off: bool
) -> bool:
    """Record that the revision was read back; True when it holds all that the hospital lists.

    ``cut_off``: the answer ended early. It is then complete only if the hospital's list says so.
    """
    now = timezone.now()
    SeriesRevision.objects.filter(pk=revision.pk, verified_at=None).update(verified_at=now)
    unproved = cut_off and listing.compared_by == ComparedBy.NOTHING
    complete = not unproved and compare(listing=listing, held=frozenset(held_uids)).complete
    state = Series.State.VERIFIED if complete else Series.State.INCOMPLETE
    # What came since is not in the revision: the series waits for its next one.
    Series.objects.filter(pk=revision.series_id, current=revision, newest_received=0).update(
        state=state, listed_instances=listing.expected, compared_by=listing.compared_by
    )
    if not complete:
        Study.objects.filter(series__pk=revision.series_id).update(state=Study.State.INCOMPLETE)
    return complete


def entries_by_uid(entries: Iterable[InstanceEntry]) -> dict[str, str]:
    """SHA-256 by SOP Instance UID."""
    return {entry.sop_instance_uid: entry.sha256 for entry in entries}
