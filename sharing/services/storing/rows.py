"""The index rows of what was stored: one transaction, after the bytes are in the object store for good.

Locks are taken in the order series, study; the series of a request in the order of their UIDs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import orjson
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from common import audit
from common.archive.documents import entry_to_json
from common.audit.services import Actor
from common.dicom.names import name_grams
from sharing.domain import facts
from sharing.models import IncomingPack, Series, Study
from sharing.services import assigning, deleting, revisions
from sharing.services.storing.outcome import Item, Place

_INSERT = """
    INSERT INTO sharing_receivedinstance
        (series_id, pack_id, sop_instance_uid, sha256, size_bytes, entry, header, stored_at)
    SELECT %s, %s, * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::jsonb[], %s::bytea[]), now()
    ON CONFLICT (series_id, sop_instance_uid) DO NOTHING
    RETURNING id, sop_instance_uid, size_bytes
"""


class SeriesHasMoved(Exception):
    """The series got another revision since it was looked at: look again."""


@dataclass(frozen=True)
class Packed:
    """The request's pack in the object store."""

    institution_id: int
    key: str
    size_bytes: int


def write(
    *, packed: Packed, items: Sequence[Item], seen: dict[Place, int | None], actor: Actor
) -> set[str]:
    """Write the rows; returns the SOP Instance UIDs that were new. The others came from another request
    meanwhile.

    ``seen`` is the current revision of each series when it was compared.

    Raises:
        SeriesHasMoved: nothing was written.
    """
    with transaction.atomic():
        pack, _ = IncomingPack.objects.get_or_create(
            object_key=packed.key,
            defaults={
                "institution_id": packed.institution_id,
                "size_bytes": packed.size_bytes,
                "stored_at": timezone.now(),
            },
        )
        written: set[str] = set()
        ordered = sorted(items, key=lambda item: item.place)
        for study_uid, group in groupby(ordered, key=lambda item: item.study_instance_uid):
            written |= _write_study(packed, pack, study_uid, list(group), seen, actor)
        return written


def _write_study(
    packed: Packed,
    pack: IncomingPack,
    study_uid: str,
    items: list[Item],
    seen: dict[Place, int | None],
    actor: Actor,
) -> set[str]:
    batches = [list(group) for _, group in groupby(items, key=lambda item: item.place)]
    locked = [
        (_lock_series(packed.institution_id, batch[0], actor, seen), batch) for batch in batches
    ]
    written: set[str] = set()
    first_of_new: list[tuple[Series, Item]] = []
    size = 0
    for series, batch in locked:
        was_held = series.is_held
        added = _insert(series.pk, pack.pk, batch)
        if not added:
            continue
        written |= {row[1] for row in added}
        size += sum(row[2] for row in added)
        _grow_series(series, added, None if was_held else batch[0])
        if not was_held:
            first_of_new.append((series, batch[0]))
    if first_of_new:
        for series, item in first_of_new:
            revisions.refresh_study(
                study_id=series.study_id, series=series, first=dict(item.attributes)
            )
    elif written:
        _grow_study(locked[0][0].study_id, len(written), size)
    _record(actor, packed.institution_id, study_uid, len(written))
    return written


def _lock_series(
    institution_id: int, first: Item, actor: Actor, seen: dict[Place, int | None]
) -> Series:
    wanted = Series.objects.select_for_update(no_key=True, of=("self",)).filter(
        study__institution_id=institution_id,
        study__study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
    )
    found = wanted.first()
    if found is None:
        _make_rows(institution_id, first, actor)
        found = wanted.first()
    if found is None or found.current_id != seen.get(first.place):
        raise SeriesHasMoved
    return found


def _make_rows(institution_id: int, first: Item, actor: Actor) -> None:
    study = Study.objects.filter(
        institution_id=institution_id, study_instance_uid=first.study_instance_uid
    ).first()
    if study is None:
        study = _make_study(institution_id, first, actor)
    try:
        with transaction.atomic():
            Series.objects.create(
                study=study,
                series_instance_uid=first.series_instance_uid,
                **asdict(facts.series_facts(first.attributes)),
            )
    except IntegrityError:
        return  # another request made it first, or the study was deleted meanwhile


def _make_study(institution_id: int, first: Item, actor: Actor) -> Study:
    described = asdict(facts.study_facts(first.attributes))
    study = Study(
        institution_id=institution_id,
        study_instance_uid=first.study_instance_uid,
        name_grams=name_grams(described["patient_name"]),
        found_at=timezone.now(),
        state=Study.State.PULLING,
        **described,
    )
    assigning.assign_patient(study)
    try:
        with transaction.atomic():
            study.save(force_insert=True)
    except IntegrityError:  # another request made it first
        return Study.objects.get(
            institution_id=institution_id, study_instance_uid=first.study_instance_uid
        )
    # Only now: a deletion that took the row away just before is seen, and this one goes with the transaction.
    deleting.make_way(
        institution_id=institution_id, study_instance_uid=first.study_instance_uid, actor=actor
    )
    return study


def _grow_series(series: Series, added: list[tuple[int, str, int]], first: Item | None) -> None:
    """Count what came; ``first`` describes a series of which nothing was held before."""
    count, size = len(added), sum(row[2] for row in added)
    newest = max(row[0] for row in added)
    if first is None:
        Series.objects.filter(pk=series.pk).update(
            instance_count=F("instance_count") + count,
            size_bytes=F("size_bytes") + size,
            newest_received=newest,
            state=Series.State.STORED,
        )
        return
    for name, value in asdict(facts.series_facts(first.attributes)).items():
        setattr(series, name, value)
    series.instance_count, series.size_bytes = count, size
    series.newest_received, series.state = newest, Series.State.STORED
    series.save()


def _insert(series_id: int, pack_id: int, items: list[Item]) -> list[tuple[int, str, int]]:
    columns: list[list[Any]] = [
        [item.entry.sop_instance_uid for item in items],
        [item.entry.sha256 for item in items],
        [item.entry.size for item in items],
        [orjson.dumps(entry_to_json(item.entry)).decode() for item in items],
        [item.header for item in items],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [series_id, pack_id, *columns])
        return list(cursor.fetchall())


def _grow_study(study_id: int, count: int, size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE sharing_study
            SET instance_count = instance_count + %s, size_bytes = size_bytes + %s,
                state = CASE WHEN state IN ('indexed', 'archived') THEN 'pulling' ELSE state END
            WHERE id = %s
            """,
            [count, size, study_id],
        )


def _record(actor: Actor, institution_id: int, study_uid: str, count: int) -> None:
    if count == 1:
        record_view(actor, institution_id, study_uid)
        return
    audit.record(
        actor,
        "dicomweb.store",
        object_type="sharing.study",
        institution_id=institution_id,
        study_instance_uid=study_uid,
        purpose="store",
        count=max(count, 1),
        detail={"new": count},
    )


def record_view(actor: Actor, institution_id: int, study_uid: str) -> None:
    """Note one instance that was stored: slices of a study that come singly are one entry with their count."""
    audit.record_view(
        actor,
        "dicomweb.store",
        object_type="sharing.study",
        institution_id=institution_id,
        study_instance_uid=study_uid,
        purpose="store",
    )
