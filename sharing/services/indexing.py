"""What hospitals list, as rows of the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.dicom.names import name_grams
from common.dicom.uids import is_valid_uid
from sharing.domain import facts
from sharing.models import Deletion, Series, Study
from sharing.services import assigning

log = structlog.get_logger(__name__)

Row = dict[str, Any]


def listed_study_uid(row: Row) -> str:
    """The Study Instance UID of a search result; empty when it has none."""
    return facts.text(row, facts.STUDY_INSTANCE_UID, 65)


@transaction.atomic
def add_index_rows(*, institution_id: int, rows: Sequence[Row]) -> int:
    """Studies that the index did not have; those it has stay as they are. Returns how many were new."""
    now = timezone.now()
    by_uid = {listed_study_uid(row): row for row in rows if is_valid_uid(listed_study_uid(row))}
    same = {"institution_id": institution_id, "study_instance_uid__in": list(by_uid)}
    known = Study.objects.filter(**same).values_list("study_instance_uid", flat=True)
    deleted = Deletion.objects.filter(**same, lifted_at=None)
    for uid in {*known, *deleted.values_list("study_instance_uid", flat=True)}:
        del by_uid[uid]
    new = [
        Study(
            institution_id=institution_id,
            study_instance_uid=uid,
            found_at=now,
            **_described(row),
            **_listed(row),
        )
        for uid, row in by_uid.items()
    ]
    assigning.assign_patients(new)
    return len(Study.objects.bulk_create(new, ignore_conflicts=True, batch_size=500))


@transaction.atomic
def write_index_row(*, institution_id: int, row: Row) -> Study | None:
    """One study of a search answer as an index row; None when it has no valid UID, or was deleted here.

    What the archive has read from the files themselves is not overwritten by the hospital's list.
    """
    uid = listed_study_uid(row)
    if not is_valid_uid(uid):
        log.warning("discovery.study_without_uid", institution_id=institution_id)
        return None
    if _is_deleted(institution_id, uid):
        return None
    described, listed = _described(row), _listed(row)
    same = Study.objects.select_for_update(no_key=True).filter(
        institution_id=institution_id, study_instance_uid=uid
    )
    study = same.first()
    if study is None:
        added = _add(institution_id, uid, described | listed)
        # Asked again, for a deletion that has just taken the row away.
        if added is not None and _is_deleted(institution_id, uid):
            added.delete()
            return None
        if added is not None:
            return added
        study = same.get()  # another transaction added it meanwhile
    _change(study, described, listed)
    return study


def _add(institution_id: int, uid: str, columns: dict[str, Any]) -> Study | None:
    study = Study(
        institution_id=institution_id,
        study_instance_uid=uid,
        found_at=columns["checked_at"],
        **columns,
    )
    assigning.assign_patient(study)
    try:
        with transaction.atomic():
            study.save(force_insert=True)
    except IntegrityError:
        return None
    return study


def _change(study: Study, described: dict[str, Any], listed: dict[str, Any]) -> None:
    changes: dict[str, Any] = dict(listed)
    if study.state == Study.State.INDEXED:
        changes |= described
        del changes["modalities"]
    before = assigning.said_by(study)
    for name, value in changes.items():
        setattr(study, name, value)
    if assigning.assign_patient(study, before=before):
        changes |= {"local_patient_id": study.local_patient_id, "person_id": study.person_id}
    Study.objects.filter(pk=study.pk).update(**changes)


def _is_deleted(institution_id: int, study_instance_uid: str) -> bool:
    """The institution deleted it here: its archive may still list it (ADR 0016)."""
    deletions = Deletion.objects.filter(
        institution_id=institution_id, study_instance_uid=study_instance_uid, lifted_at=None
    )
    return deletions.exists()


@transaction.atomic
def write_series_rows(*, study: Study, rows: Sequence[Row], again: bool) -> list[int]:
    """The listed series as rows; returns the ids of those that must be pulled."""
    known = {series.series_instance_uid: series for series in study.series.all()}
    wanted: list[int] = []
    for row in rows:
        uid = facts.text(row, facts.SERIES_INSTANCE_UID, 65)
        if not is_valid_uid(uid):
            log.warning("discovery.series_without_uid", study_id=study.pk)
            continue
        count = facts.count(row, facts.RELATED_INSTANCES_OF_SERIES)
        series = known.get(uid)
        if series is None:
            # A reader and the discovery may list one study at the same time.
            series, _ = Series.objects.get_or_create(
                study=study,
                series_instance_uid=uid,
                defaults={"listed_instances": count, **asdict(facts.series_facts(row))},
            )
            known[uid] = series
        more = count is not None and count > series.instance_count
        if again or more or series.state != Series.State.VERIFIED:
            Series.objects.filter(pk=series.pk).update(listed_instances=count)
            wanted.append(series.pk)
    Study.objects.filter(pk=study.pk).update(series_count=len(known))
    return wanted


def _described(row: Row) -> dict[str, Any]:
    """The columns that describe a study, from its search result."""
    described = asdict(facts.study_facts(row))
    return described | {
        "name_grams": name_grams(described["patient_name"]),
        "modalities": facts.modalities_in_study(row),
    }


def _listed(row: Row) -> dict[str, Any]:
    """What the hospital lists now."""
    count = facts.count(row, facts.RELATED_INSTANCES_OF_STUDY)
    return {"listed_instances": count, "checked_at": timezone.now()}
