"""Patients as the index knows them: the number that one institution gave, and what its studies say.

There is no row of a patient before persons are linked over institutions. Until then a patient is named by the *first*
study that the index has of the number (the lowest id): opaque, and lasting as long as that row. A study without a
number is a patient of its own (ADR 0010: numbers of different institutions never meet).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import Case, F, Min, Q, QuerySet, Value, When

from common.errors import NotFound
from sharing.models import Study
from sharing.selectors.studies import visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User

# Institution, number, and where there is no number the study itself.
Key = tuple[int, str, int]
_COLUMNS = ("institution_id", "patient_id", "alone")


@dataclass(frozen=True)
class Patient:
    """One patient of one institution, as its newest visible study says."""

    id: int
    institution_id: int
    institution_code: str
    institution_name: str
    number: str
    name: str  # PN, with = and ^
    birth_date: date | None
    sex: str


def patient_key(study: Study) -> Key:
    """Whose study this is."""
    return study.institution_id, study.patient_id, 0 if study.patient_id else study.pk


def patient_ids(studies: Iterable[Study]) -> dict[Key, int]:
    """The ids of the patients of these studies, in one query."""
    keys = {patient_key(study) for study in studies}
    rows = _keyed(Study.objects.filter(_of(keys))).values(*_COLUMNS).annotate(first=Min("id"))
    found = {(row["institution_id"], row["patient_id"], row["alone"]): row["first"] for row in rows}
    return {key: found[key] for key in keys}


def get_patient(*, actor: User, patient_id: int) -> Patient:
    """One patient.

    Raises:
        NotFound: there is none, or ``actor`` may see no study of it.
    """
    found = list_patients(actor=actor, ids=[patient_id])
    if not found:
        raise NotFound("There is no such patient.")
    return found[0]


def list_patients(*, actor: User, ids: Collection[int]) -> list[Patient]:
    """Those of these that exist and of whom ``actor`` may see a study, in three queries."""
    named = visible_studies(actor).filter(pk__in=ids)
    return [each for each in _patients(actor, map(patient_key, named)) if each.id in set(ids)]


def page_of_patients(
    *, actor: User, condition: Q, after: int | None, size: int
) -> tuple[list[Patient], bool]:
    """One page of the patients with a matching study, and whether there are more; by institution and number.

    Raises:
        NotFound: ``after`` is no patient any more.
    """
    rows = _keyed(visible_studies(actor).filter(condition))
    if after is not None:
        rows = rows.filter(_beyond(_key_of(actor, after)))
    keys = list(rows.order_by(*_COLUMNS).values_list(*_COLUMNS).distinct()[: size + 1])
    return _patients(actor, keys[:size]), len(keys) > size


def count_patients(*, actor: User, condition: Q) -> int:
    """How many patients have a matching study."""
    rows = _keyed(visible_studies(actor).filter(condition))
    return rows.order_by().values_list(*_COLUMNS).distinct().count()


def of_patient(*, actor: User, patient_id: int) -> Q:
    """The condition that a study is of this patient; nothing matches where there is none."""
    study = visible_studies(actor).filter(pk=patient_id).first()
    if study is None or patient_ids([study])[patient_key(study)] != patient_id:
        return Q(pk__in=[])
    return _of({patient_key(study)})


def _patients(actor: User, keys: Iterable[Key]) -> list[Patient]:
    """In the order of the keys."""
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return []
    newest = _newest(actor, set(wanted))
    ids = patient_ids(newest.values())
    return [_patient(ids[key], newest[key]) for key in wanted if key in newest]


def _newest(actor: User, keys: set[Key]) -> dict[Key, Study]:
    rows = (
        _keyed(visible_studies(actor).filter(_of(keys)))
        .select_related("institution")
        .order_by(*_COLUMNS, F("study_date").desc(nulls_last=True), "-id")
        .distinct(*_COLUMNS)
    )
    return {key: study for study in rows if (key := patient_key(study)) in keys}


def _patient(patient_id: int, study: Study) -> Patient:
    return Patient(
        id=patient_id,
        institution_id=study.institution_id,
        institution_code=study.institution.code,
        institution_name=study.institution.name,
        number=study.patient_id,
        name=study.patient_name,
        birth_date=study.patient_birth_date,
        sex=study.patient_sex,
    )


def _keyed(studies: QuerySet[Study]) -> QuerySet[Any, Any]:
    return studies.annotate(alone=Case(When(patient_id="", then=F("id")), default=Value(0)))


def _of(keys: Collection[Key]) -> Q:
    """Studies of these patients; of several institutions perhaps some more, with the same numbers."""
    numbered = {key for key in keys if key[1]}
    return Q(pk__in=sorted(alone for _, _, alone in keys if alone)) | Q(
        institution_id__in=sorted({institution for institution, _, _ in numbered}),
        patient_id__in=sorted({number for _, number, _ in numbered}),
    )


def _key_of(actor: User, patient_id: int) -> Key:
    study = visible_studies(actor).filter(pk=patient_id).first()
    if study is None:
        raise NotFound("There is no such patient any more.")
    return patient_key(study)


def _beyond(key: Key) -> Q:
    institution, number, alone = key
    return (
        Q(institution_id__gt=institution)
        | Q(institution_id=institution, patient_id__gt=number)
        | Q(institution_id=institution, patient_id=number, alone__gt=alone)
    )
