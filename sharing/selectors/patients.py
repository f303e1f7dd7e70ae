"""Patients as FHIR knows them: one for each person, as far as one account sees a study of it (ADR 0024).

What is said of a person is what its newest visible study says, with the numbers under which its visible studies stand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from django.db.models import F, Q

from common.errors import NotFound
from sharing.models import LocalPatient, Person, Study
from sharing.selectors.identities import MaskedIdentity, masked_identity
from sharing.selectors.persons import id_of
from sharing.selectors.studies import visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User


@dataclass(frozen=True)
class Number:
    """The number that one institution gave; ``masked`` is what else it has registered, masked (policy P5)."""

    institution_id: int
    institution_code: str
    institution_name: str
    value: str
    masked: MaskedIdentity


@dataclass(frozen=True)
class Patient:
    """One person, as its newest visible study says; ``numbers`` by institution."""

    id: int
    key: str
    institution_id: int
    name: str  # PN, with = and ^
    birth_date: date | None
    sex: str
    numbers: tuple[Number, ...]


def keys_of(studies: Iterable[Study]) -> dict[int, str]:
    """The keys of the persons of these studies, in one query; none for rows of an older release."""
    ids = {study.person_id for study in studies if study.person_id}
    return dict(Person.objects.filter(pk__in=ids).values_list("pk", "key"))


def get_patient(*, actor: User, key: str) -> Patient:
    """One patient.

    Raises:
        NotFound: there is none, or ``actor`` may see no study of it.
    """
    found = list_patients(actor=actor, keys=[key])
    if not found:
        raise NotFound("There is no such patient.")
    return found[0]


def list_patients(*, actor: User, keys: Collection[str]) -> list[Patient]:
    """Those of these that exist and of whom ``actor`` may see a study."""
    known = dict(
        Person.objects.filter(key__in=list(keys), patients__isnull=False)
        .distinct()
        .values_list("key", "pk")
    )
    joined = (id_of(key) for key in keys if key not in known)  # with another, or unknown
    ids = [known[key] for key in keys if key in known]
    return _patients(actor, [*ids, *(each for each in joined if each is not None)])


def page_of_patients(
    *, actor: User, condition: Q, after: str, size: int
) -> tuple[list[Patient], bool]:
    """One page of the persons with a matching study, and whether there are more; in the order of their rows.

    Raises:
        NotFound: ``after`` is no patient any more.
    """
    rows = visible_studies(actor).filter(condition, person__isnull=False)
    if after:
        last = visible_studies(actor).filter(person__key=after).values_list("person", flat=True)
        if (found := last.first()) is None:
            raise NotFound("There is no such patient any more.")
        rows = rows.filter(person__gt=found)
    ids = list(rows.order_by("person").values_list("person_id", flat=True).distinct()[: size + 1])
    return _patients(actor, [pk for pk in ids[:size] if pk is not None]), len(ids) > size


def count_patients(*, actor: User, condition: Q) -> int:
    """How many persons have a matching study."""
    rows = visible_studies(actor).filter(condition, person__isnull=False)
    return rows.order_by().values_list("person_id").distinct().count()


def of_patient(key: str) -> Q:
    """The condition that a study is of this person; nothing matches where there is none."""
    person = id_of(key)
    return Q(pk__in=[]) if person is None else Q(person=person)


def _patients(actor: User, ids: Collection[int]) -> list[Patient]:
    """In the order of the ids; four queries."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return []
    seen = visible_studies(actor).filter(person__in=wanted)
    newest = {
        study.person_id: study
        for study in seen.select_related("person")
        .order_by("person", F("study_date").desc(nulls_last=True), "-id")
        .distinct("person")
    }
    numbers = _numbers(seen.order_by().values_list("local_patient", flat=True).distinct())
    return [_patient(newest[pk], numbers.get(pk, ())) for pk in wanted if pk in newest]


def _numbers(patient_ids: Iterable[int | None]) -> dict[int, tuple[Number, ...]]:
    rows = (
        LocalPatient.objects.filter(pk__in=list(patient_ids))
        .select_related("institution")
        .order_by("institution__code", "issuer", "number", "pk")
    )
    found: dict[int, tuple[Number, ...]] = {}
    for row in rows:
        number = Number(
            institution_id=row.institution_id,
            institution_code=row.institution.code,
            institution_name=row.institution.name,
            value=row.number,
            masked=masked_identity(row),
        )
        found[row.person_id] = (*found.get(row.person_id, ()), number)
    return found


def _patient(study: Study, numbers: tuple[Number, ...]) -> Patient:
    return Patient(
        id=study.person_id or 0,
        key=study.person.key if study.person else "",
        institution_id=study.institution_id,
        name=study.patient_name,
        birth_date=study.patient_birth_date,
        sex=study.patient_sex,
        numbers=numbers,
    )
