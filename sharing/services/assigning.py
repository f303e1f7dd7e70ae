"""Whose study it is: each study names the local patient that its institution gave the number to, and its person.

A number is one of its institution and issuer (PS3.3 C.2.2); a study without a number is a patient of its own. A new
local patient gets a new person, whom only ``services.linking`` joins with another. Locks are taken in the order study,
patient, so that writing the index and linking never wait for each other in a circle.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection, transaction

from common.dicom.names import name_grams
from sharing.models import Study

Number = tuple[int, str, str, str]  # institution, issuer, number, alone
_SEPARATOR = "\x1f"  # between the words of a name; in no word

_KNOWN = """
    SELECT p.institution_id, p.issuer, p.number, p.alone, p.id, p.person_id, p.registered_at IS NULL
        AND (p.name = '' AND w.name <> '' OR p.birth_date IS NULL AND w.birth_date IS NOT NULL
             OR p.sex = '' AND w.sex <> '')
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::date[], %s::text[])
        AS w (institution_id, issuer, number, alone, name, birth_date, sex)
    JOIN sharing_localpatient p USING (institution_id, issuer, number, alone)
    ORDER BY p.id FOR SHARE OF p
"""
# The person is made in the same statement: its foreign key is looked at when the transaction ends.
_ADD = """
    WITH wanted AS (
        SELECT *, string_to_array(words, E'\\x1f')::varchar[] AS grams
        FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::date[], %s::text[], %s::text[],
            %s::text[]) AS w (institution_id, issuer, number, alone, name, birth_date, sex, words, key)
    ), made AS (
        INSERT INTO sharing_localpatient (institution_id, issuer, number, alone, name, name_grams, birth_date, sex,
            document_type, updated_at, person_id)
        SELECT institution_id, issuer, number, alone, name, coalesce(grams, '{}'), birth_date, sex, '', now(),
            nextval(pg_get_serial_sequence('sharing_person', 'id'))
        FROM wanted
        ON CONFLICT (institution_id, issuer, number, alone) DO NOTHING
        RETURNING institution_id, issuer, number, alone, id, person_id
    ), persons AS (
        INSERT INTO sharing_person (id, key, created_at)
        SELECT made.person_id, wanted.key, now() FROM made JOIN wanted USING (institution_id, issuer, number, alone)
    )
    SELECT * FROM made
"""
# What was registered stays; what came from a study follows that study when it is corrected.
_CORRECT = """
    UPDATE sharing_localpatient p SET
        name = CASE WHEN w.name <> '' AND p.name IN ('', w.was_name) THEN w.name ELSE p.name END,
        name_grams = CASE WHEN w.name <> '' AND p.name IN ('', w.was_name)
            THEN coalesce(string_to_array(w.words, E'\\x1f')::varchar[], '{}') ELSE p.name_grams END,
        birth_date = CASE WHEN p.birth_date IS NULL OR p.birth_date = w.was_born
            THEN coalesce(w.birth_date, p.birth_date) ELSE p.birth_date END,
        sex = CASE WHEN w.sex <> '' AND p.sex IN ('', w.was_sex) THEN w.sex ELSE p.sex END,
        compared_at = NULL, updated_at = now()
    FROM unnest(%s::bigint[], %s::text[], %s::date[], %s::text[], %s::text[], %s::text[], %s::date[], %s::text[])
        AS w (id, name, birth_date, sex, words, was_name, was_born, was_sex)
    WHERE p.id = w.id AND p.registered_at IS NULL
"""
_FILL = """
    UPDATE sharing_study s SET local_patient_id = w.patient, person_id = w.person
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS w (id, patient, person) WHERE s.id = w.id
"""


@dataclass(frozen=True)
class Said:
    """What a study says of its patient."""

    issuer: str
    number: str
    name: str
    birth_date: date | None
    sex: str


def said_by(study: Study) -> Said:
    """What the columns of this study say now."""
    return Said(
        issuer=study.issuer_of_patient_id if study.patient_id else "",
        number=study.patient_id,
        name=study.patient_name,
        birth_date=study.patient_birth_date,
        sex=study.patient_sex,
    )


def new_key() -> str:
    """A person's key: 80 random bits, which say nothing and are found by nobody who tries."""
    return b32encode(secrets.token_bytes(10)).decode()


def assign_patient(study: Study, *, before: Said | None = None) -> bool:
    """Set local patient and person of a study by what it says; it is the caller's to save. Whether they changed.

    ``before``: what it said until now. Nothing is asked of the database where it says the same.
    """
    now = said_by(study)
    if before == now and study.local_patient_id:
        return False
    former = study.local_patient_id
    if former and before and (before.issuer, before.number) == (now.issuer, now.number):
        _correct([(former, now, before)])
        return False
    assign_patients([study])
    return study.local_patient_id != former


def assign_patients(studies: Sequence[Study]) -> None:
    """As ``assign_patient`` for many, in two or three statements: what is new gets its rows."""
    by_number: dict[Number, Said] = {}
    for study in studies:
        by_number.setdefault(_number_of(study), said_by(study))
    found = patients_by_number(by_number)
    for study in studies:
        study.local_patient_id, study.person_id = found[_number_of(study)]


@transaction.atomic
def patients_by_number(wanted: dict[Number, Said]) -> dict[Number, tuple[int, int]]:
    """Ids of patient and person of these numbers, made where there were none. The patients stay locked (shared)."""
    found: dict[Number, tuple[int, int]] = {}
    if not wanted:
        return found
    short: list[tuple[int, Said, Said | None]] = []
    _look_up(wanted, found, short)
    missing = {number: said for number, said in wanted.items() if number not in found}
    if missing:
        found |= _add(missing)
        others = {number: said for number, said in missing.items() if number not in found}
        if others:  # another transaction made them meanwhile, and has ended
            _look_up(others, found, short)
    if short:
        _correct(short)
    return found


def backfill(*, batch: int = 500, within: Callable[[], bool] = lambda: True) -> int:
    """Give rows of an older release their patients while ``within`` says so; returns how many were filled in."""
    done = 0
    if not within():
        return done
    for filled in backfilled(batch=batch):
        done += filled
        if not within():
            break
    return done


def backfilled(*, batch: int) -> Iterator[int]:
    """The same batch by batch, each in a transaction of its own, with how many it filled in.

    Goes on where it stopped, for what is done is seen in the rows.
    """
    last = 0
    while Study.objects.filter(local_patient=None).exists():
        filled, last = _fill_batch(batch, after=last)
        if not filled:
            return
        yield filled


@transaction.atomic
def _fill_batch(batch: int, *, after: int) -> tuple[int, int]:
    """How many, and the last of them; 0 when there is none behind ``after``."""
    rows = list(
        Study.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(local_patient=None, pk__gt=after)
        .order_by("pk")[:batch]
    )
    if not rows:
        return 0, 0
    assign_patients(rows)
    ids = [(row.pk, row.local_patient_id, row.person_id) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [list(column) for column in zip(*ids, strict=True)])
    return len(rows), rows[-1].pk


def _number_of(study: Study) -> Number:
    if study.patient_id:
        return study.institution_id, study.issuer_of_patient_id, study.patient_id, ""
    return study.institution_id, "", "", study.study_instance_uid


def _look_up(
    wanted: dict[Number, Said],
    found: dict[Number, tuple[int, int]],
    short: list[tuple[int, Said, Said | None]],
) -> None:
    """``short``: patients of whom less is known than these studies say."""
    columns = _columns(wanted.items())
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, columns)
        for *number, patient, person, knows_less in cursor.fetchall():
            key: Number = (number[0], number[1], number[2], number[3])
            found[key] = patient, person
            if knows_less:
                short.append((patient, wanted[key], None))


def _add(missing: dict[Number, Said]) -> dict[Number, tuple[int, int]]:
    # In one order everywhere: two transactions that add the same numbers never wait for each other in a circle.
    ordered = sorted(missing.items())
    words = [_SEPARATOR.join(name_grams(said.name)) or None for _, said in ordered]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [*_columns(ordered), words, [new_key() for _ in ordered]])
        return {(row[0], row[1], row[2], row[3]): (row[4], row[5]) for row in cursor.fetchall()}


def _columns(items: Iterable[tuple[Number, Said]]) -> list[list[Any]]:
    rows = [(*number, said.name, said.birth_date, said.sex) for number, said in items]
    return [list(column) for column in zip(*rows, strict=True)]


def _correct(patients: Iterable[tuple[int, Said, Said | None]]) -> None:
    rows = [
        (
            patient, now.name, now.birth_date, now.sex, _SEPARATOR.join(name_grams(now.name)) or None,
            before.name if before else "", before.birth_date if before else None, before.sex if before else "",
        )
        for patient, now, before in sorted(patients, key=lambda each: each[0])
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_CORRECT, [list(column) for column in zip(*rows, strict=True)])
