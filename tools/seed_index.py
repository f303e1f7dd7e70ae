#!/usr/bin/env python
"""Seed an index for measurements: ``seed_index.py [--studies 1000000] [--persons 200000]``, in its environment.

Studies come from ``benchmarks/index_filler.py`` unless there are that many already; then every study gets its local
patient, and the local patients of one number their person, with encrypted resident ID (two of three have one), phone
and card. The same numbers give the same persons; keys are random. For scratch databases only: it writes in bulk.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import index_filler

PEOPLE = """
CREATE UNLOGGED TABLE seed_person (n bigint PRIMARY KEY, id bigint, key text, resident_id bytea, resident_id_hash bytea,
    phone bytea, phone_hash bytea, card_hash bytea, name text, grams varchar(64)[], born date, sex text)
"""
PERSONS = """
INSERT INTO sharing_person (id, key, created_at) SELECT id, key, now() FROM seed_person
"""
PATIENTS = """
INSERT INTO sharing_localpatient (institution_id, issuer, number, alone, person_id, name, name_grams, birth_date, sex,
    resident_id, resident_id_hash, document_type, phone, phone_hash, card_hash, is_staff, registered_at, updated_at,
    compared_at)
SELECT DISTINCT ON (s.institution_id, s.issuer_of_patient_id, s.patient_id) s.institution_id, s.issuer_of_patient_id,
    s.patient_id, '', p.id, p.name, p.grams, p.born, p.sex, p.resident_id, p.resident_id_hash, '', p.phone,
    p.phone_hash, p.card_hash, false, now(), now(), now()
FROM sharing_study s JOIN seed_person p ON p.n = s.patient_id::bigint %% %(persons)s
"""
STUDIES = """
UPDATE sharing_study s SET local_patient_id = p.id, person_id = p.person_id
FROM sharing_localpatient p
WHERE p.institution_id = s.institution_id AND p.issuer = s.issuer_of_patient_id AND p.number = s.patient_id
"""


def resident_id(number: int, born: Any, sex: str) -> str:
    """A synthetic one (policy P1) of an area that does not exist."""
    from common.identifiers.resident_id import check_character

    order = (number // 10_000) * 2 + (1 if sex == "M" else 0)
    digits = f"99{number % 10_000:04d}{born:%Y%m%d}{order:03d}"
    return digits + check_character(digits)


def phone(number: int) -> str:
    return f"199{number:08d}"


def card(number: int) -> str:
    return f"card-{number:08d}"


def people(persons: int) -> Iterator[tuple[Any, ...]]:
    from common.privacy import encrypt
    from sharing.selectors.identities import context_of, identity_hash
    from sharing.services.assigning import new_key

    made = index_filler.People()
    for number in range(persons):
        name, sex, born = made.of(number)
        known = number % 3 != 0
        text = resident_id(number, born, sex)
        yield (
            number, number + 1, new_key(),
            encrypt(text, context=context_of("resident_id")) if known else None,
            identity_hash("resident_id", text) if known else None,
            encrypt(phone(number), context=context_of("phone")),
            identity_hash("phone", phone(number)), identity_hash("card", card(number)),
            name, made.grams(name), born, sex,
        )  # fmt: skip


def seed_patients(persons: int) -> float:
    """Persons and local patients of the studies that are there; returns the seconds."""
    from django.db import connection

    begin = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE)
        with cursor.copy(
            "COPY seed_person (n, id, key, resident_id, resident_id_hash, phone, phone_hash, card_hash, name, grams,"
            " born, sex) FROM STDIN"
        ) as copy:
            for row in people(persons):
                copy.write_row(row)
        dropped = _drop_indexes(cursor)
        cursor.execute("ALTER TABLE sharing_study DISABLE TRIGGER USER")
        cursor.execute(PERSONS)
        cursor.execute(PATIENTS, {"persons": persons})
        cursor.execute("ANALYZE sharing_localpatient")
        cursor.execute(STUDIES)
        cursor.execute("ALTER TABLE sharing_study ENABLE TRIGGER USER")
        cursor.execute("DROP TABLE seed_person")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for statement in dropped:
            cursor.execute(statement)
        for table in ("person", "localpatient"):
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('sharing_{table}', 'id'), (SELECT max(id) FROM sharing_{table}))"
            )
        cursor.execute("VACUUM ANALYZE sharing_study")
        cursor.execute("VACUUM ANALYZE sharing_localpatient")
        cursor.execute("VACUUM ANALYZE sharing_person")
    return time.perf_counter() - begin


def _drop_indexes(cursor: Any) -> list[str]:
    """Secondary indexes of the two tables: made anew they cost less than kept up to date."""
    cursor.execute(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid IN ('sharing_study'::regclass, 'sharing_localpatient'::regclass) AND NOT i.indisunique"
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f'DROP INDEX "{name}"')
    return [statement for _, statement in found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=200_000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from sharing.models import Person, Study

    if Person.objects.exists():
        raise SystemExit("There are persons already: seed an index of its own.")
    held = Study.objects.count()
    if held < options.studies:
        took = index_filler.fill(index_filler.prepare(), held, options.studies)
        print(f"{options.studies - held} studies in {took:.0f} s")
    print(f"{options.persons} persons in {seed_patients(options.persons):.0f} s")


if __name__ == "__main__":
    main()
