#!/usr/bin/env python
"""The searches of the portal over an index that ``tools/seed_index.py`` filled: ``patients.py [--samples 200]``.

In process, so that the figures are those of the selectors: statement, rows and audit entry. Somebody who sees 10 of 100
hospitals. Each kind is asked with other values every time. Needs DATABASE_URL of that index.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import keep, print_table

READS = 10  # hospitals that the reader sees, of different size


def reader() -> Any:
    from common.accounts.models import User
    from hospitals import selectors, services

    actor, created = User.objects.get_or_create(username="bench-reader")
    if created:
        for number in range(0, READS * 7, 7):
            services.grant_membership(
                actor="benchmark", user=actor, role="radiologist",
                institution=selectors.get_institution(code=f"H{number}"),
            )  # fmt: skip
    return actor


def questions(pick: random.Random) -> dict[str, Callable[[], Any]]:
    """Kinds of questions; each call makes another one of its kind."""
    from benchmarks.index_filler import People
    from sharing.models import Person, Study
    from sharing.selectors.person_question import PersonSearch
    from tools.seed_index import card, phone, resident_id

    persons = Person.objects.count()
    studies = Study.objects.order_by("-pk").values_list("pk", flat=True)[0]
    made = People()

    def somebody() -> tuple[int, str, str, date]:
        number = pick.randrange(persons)
        return (number, *made.of(number))

    def by_resident_id() -> PersonSearch:
        number = pick.randrange(persons // 3) * 3 + 1  # one of those who have one
        _, sex, born = made.of(number)
        return PersonSearch(resident_id=resident_id(number, born, sex))

    def by_facts() -> PersonSearch:
        _, name, sex, born = somebody()
        return PersonSearch(name=name.rpartition("=")[2].replace("^", ""), sex=sex, birth_date=born)

    def by_study() -> Any:
        return Study.objects.get(pk=pick.randrange(1, studies))

    def a_month() -> PersonSearch:
        day = date(2025, 1, 1) + timedelta(days=pick.randrange(600))
        return PersonSearch(
            since=day, until=day + timedelta(days=30), modality=pick.choice(["CT", "MR", "DX"])
        )

    def at_a_hospital() -> PersonSearch:
        study = by_study()
        return PersonSearch(number=study.patient_id, institution_code=study.institution.code)

    return {
        "resident ID": by_resident_id,
        "card": lambda: PersonSearch(card=card(pick.randrange(persons))),
        "phone": lambda: PersonSearch(phone=phone(pick.randrange(persons))),
        "number at a hospital": at_a_hospital,
        "name, sex, birth date": by_facts,
        "name alone (Han)": lambda: PersonSearch(name=somebody()[1].rpartition("=")[2].replace("^", "")),
        "name alone (pinyin initials)": lambda: PersonSearch(
            name="".join(pick.choices("wlzcyxhs", k=3))
        ),
        "accession number": lambda: PersonSearch(accession_number=by_study().accession_number),
        "month and modality": a_month,
        "month, modality, body part": lambda: PersonSearch(**{**vars(a_month()), "body_part": "chest"}),
    }  # fmt: skip


def timed(ask: Callable[[], Callable[[], Any]], samples: int) -> dict[str, float]:
    took, found = [], 0
    for _ in range(samples):
        act = ask()
        begin = time.perf_counter()
        found += act()
        took.append((time.perf_counter() - begin) * 1000)
    took.sort()
    return {
        "p50 ms": statistics.median(took),
        "p99 ms": took[min(len(took) - 1, int(len(took) * 0.99))],
        "max ms": took[-1],
        "found, mean": found / samples,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from sharing.models import Person
    from sharing.selectors.persons import find_persons
    from sharing.selectors.timeline import patient_page

    actor, pick = reader(), random.Random(7)
    rows: list[dict[str, Any]] = []
    for name, ask in questions(pick).items():

        def search(ask: Callable[[], Any] = ask) -> Callable[[], int]:
            asked = ask()
            return lambda: find_persons(actor=actor, search=asked).count

        rows.append({"asked": name} | timed(search, options.samples))
        print(rows[-1], flush=True)

    def line() -> Callable[[], int]:
        person = Person.objects.get(pk=pick.randrange(1, Person.objects.count()))
        return lambda: len(patient_page(actor=actor, person=person).rows)

    rows.append({"asked": "time line of a person"} | timed(line, options.samples))
    print()
    print_table(rows)
    keep("patients", rows)


if __name__ == "__main__":
    main()
