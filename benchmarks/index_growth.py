#!/usr/bin/env python
"""How the cost of writing and of searching the index grows from ten thousand to a million studies.

    python benchmarks/index_growth.py [--sizes 10000,100000,1000000] [--samples 200]

The index is filled in bulk with plausible rows (names with all their search words, two series a study, a
revision each); at each size the services that discovery and the puller call are measured on new studies, and the
list's searches. Needs DATABASE_URL (``tools/services env``); a scratch database is made there and dropped.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import ROOT_UID, keep, print_table, scratch_database, scratch_folder

INSTITUTIONS = 50
NAMES = 4000
DAYS = 3650
FIRST_DAY = date(2016, 1, 1)
FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹"
GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉建华玉红玲燕志海波宁"

FILL = """
INSERT INTO sharing_study (institution_id, study_instance_uid, patient_id, issuer_of_patient_id, patient_name,
    name_grams, patient_birth_date, patient_sex, study_date, study_time, accession_number, dicom_study_id,
    study_description, referring_physician_name, modalities, series_count, instance_count, size_bytes,
    listed_instances, state, found_at, checked_at, archived_at)
SELECT i.id, %(root)s || '.' || n, 'P' || (n::bigint * 7919 %% 400000), '', w.name, w.grams, '1970-01-01', 'M',
    %(first)s::date + (n::bigint * 104729 %% %(days)s)::int, '101500', 'A' || n, n::text, '胸部平扫', '',
    ARRAY[(ARRAY['CT','MR','DX','CR','US'])[1 + n %% 5]], 2, 400, 200000000, 400, 'archived',
    now(), now(), now()
FROM generate_series(%(start)s, %(end)s) n
JOIN bench_name w ON w.id = n * 31 %% %(names)s
JOIN bench_institution i ON i.position = n %% %(institutions)s
"""
# Their patients and persons, as the writers of the index leave them.
FILL_PATIENTS = """
WITH made AS (
    INSERT INTO sharing_localpatient (institution_id, issuer, number, alone, name, name_grams, birth_date, sex,
        document_type, updated_at, person_id)
    SELECT DISTINCT ON (institution_id, patient_id) institution_id, '', patient_id, '', patient_name, name_grams,
        patient_birth_date, patient_sex, '', now(), nextval(pg_get_serial_sequence('sharing_person', 'id'))
    FROM sharing_study WHERE id > %(after)s
    ON CONFLICT DO NOTHING RETURNING person_id)
INSERT INTO sharing_person (id, key, created_at)
SELECT person_id, upper(left(translate(md5(person_id::text), '0189', 'WXYZ'), 16)), now() FROM made
"""
FILL_NAMED = """
UPDATE sharing_study s SET local_patient_id = p.id, person_id = p.person_id FROM sharing_localpatient p
WHERE s.id > %(after)s AND p.institution_id = s.institution_id AND p.number = s.patient_id AND p.issuer = ''
"""
FILL_SERIES = """
INSERT INTO sharing_series (study_id, series_instance_uid, modality, series_number, series_description,
    body_part_examined, series_date, series_time, instance_count, size_bytes, listed_instances, compared_by, state)
SELECT s.id, s.study_instance_uid || '.' || k, s.modalities[1], k, '', 'CHEST', s.study_date, '', 200, 100000000,
    200, 'uids', 'verified'
FROM sharing_study s CROSS JOIN generate_series(1, 2) k WHERE s.id > %(after)s
"""
FILL_REVISIONS = """
WITH made AS (
    INSERT INTO sharing_seriesrevision (series_id, number, prefix, instance_count, size_bytes, pack_digest,
        stored_at, verified_at)
    SELECT id, 1, 'archive/H/' || series_instance_uid || '/000001', 200, 100000000, repeat('a', 64), now(), now()
    FROM sharing_series WHERE id > %(after)s RETURNING id, series_id)
UPDATE sharing_series s SET current_id = made.id FROM made WHERE made.series_id = s.id
"""


def prepare() -> list[int]:
    """Region, institutions and the names; the ids of the institutions."""
    from django.db import connection

    from common.dicom.names import name_grams
    from hospitals import services

    region = services.add_region(actor="benchmark", code="420000", name="湖北省")
    ids = [
        services.add_institution(actor="benchmark", code=f"H{n}", name=f"H{n}", region=region).pk
        for n in range(INSTITUTIONS)
    ]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_institution (position int PRIMARY KEY, id bigint)")
        cursor.executemany("INSERT INTO bench_institution VALUES (%s, %s)", list(enumerate(ids)))
        cursor.execute(
            "CREATE TABLE bench_name (id int PRIMARY KEY, name text, grams varchar(64)[])"
        )
        cursor.executemany(
            "INSERT INTO bench_name VALUES (%s, %s, %s)",
            [(n, name, name_grams(name)) for n, name in enumerate(people(NAMES))],
        )
    return ids


def people(count: int) -> Iterator[str]:
    pick = random.Random(5)
    for _ in range(count):
        yield "=" + pick.choice(FAMILY) + "^" + "".join(pick.choices(GIVEN, k=2))


def grow(start: int, end: int) -> float:
    """Fill up to ``end`` studies; returns the seconds."""
    from django.db import connection

    begin = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM sharing_study")
        study = cursor.fetchone()[0]
        cursor.execute("SELECT coalesce(max(id), 0) FROM sharing_series")
        series = cursor.fetchone()[0]
        facts = {
            "root": f"{ROOT_UID}.5", "first": FIRST_DAY, "days": DAYS, "names": NAMES,
            "institutions": INSTITUTIONS, "start": start + 1, "end": end,
        }  # fmt: skip
        # Its lock for each UID is for writers that meet; a million of them in one statement are too many.
        cursor.execute("ALTER TABLE sharing_study DISABLE TRIGGER USER")
        cursor.execute(FILL, facts)
        cursor.execute(FILL_PATIENTS, {"after": study})
        cursor.execute(FILL_NAMED, {"after": study})
        cursor.execute("ALTER TABLE sharing_study ENABLE TRIGGER USER")
        cursor.execute(FILL_SERIES, {"after": study})
        cursor.execute(FILL_REVISIONS, {"after": series})
        cursor.execute("VACUUM ANALYZE")
    return time.perf_counter() - begin


def writes(institution_id: int, size: int, samples: int) -> tuple[dict[str, float], int]:
    """Milliseconds of each service a study passes through."""
    from django.db import transaction

    from common.archive.documents import InstanceEntry, SeriesIndex
    from common.dicom.frames import Frames
    from sharing.domain.completeness import Listing
    from sharing.models import Series
    from sharing.services import indexing, revisions, transfers
    from sharing.services.revisions import Sealed

    took: dict[str, list[float]] = {"index row": [], "series rows": [], "queue": [], "revision": []}
    for number, name in enumerate(people(samples)):
        uid = f"{ROOT_UID}.6.{size}.{number}"
        row = study_row(uid, name, number)
        with timing(took["index row"]):
            study = indexing.write_index_row(institution_id=institution_id, row=row)
        if study is None:
            raise SystemExit("the study was not written")
        listed = [series_row(f"{uid}.{k}") for k in (1, 2)]
        with timing(took["series rows"]):
            ids = indexing.write_series_rows(study=study, rows=listed, again=False)
        with timing(took["queue"]):
            transfers.request_transfers(
                series_ids=ids, institution_id=institution_id, lane=transfers.Transfer.Lane.TODAY
            )
        series = Series.objects.get(pk=ids[0])
        entry = InstanceEntry(f"{uid}.1.1", "1.2", "1.2", 1, 0, 512, "a" * 64, Frames())
        index = SeriesIndex(
            "H0", uid, f"{uid}.1", 1, f"archive/{uid}.zip", 600, "b" * 64, "", (entry,),
            stored_at=datetime.now(UTC).isoformat(),
        )  # fmt: skip
        sealed = Sealed(index=index, prefix=f"archive/{uid}", size_bytes=600, first=row)
        with timing(took["revision"]), transaction.atomic():
            revisions.write_rows(series=series, sealed=sealed, listing=Listing(count=1))
    return {name: statistics.median(values) for name, values in took.items()}, samples


def study_row(uid: str, name: str, number: int) -> dict[str, Any]:
    day = FIRST_DAY + timedelta(days=number % DAYS)
    return {
        "0020000D": {"vr": "UI", "Value": [uid]},
        "00100010": {"vr": "PN", "Value": [{"Ideographic": name.lstrip("=")}]},
        "00100020": {"vr": "LO", "Value": [f"N{number}"]},
        "00080020": {"vr": "DA", "Value": [f"{day:%Y%m%d}"]},
        "00080061": {"vr": "CS", "Value": ["CT"]},
        "00201208": {"vr": "IS", "Value": [2]},
    }


def series_row(uid: str) -> dict[str, Any]:
    return {
        "0020000E": {"vr": "UI", "Value": [uid]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00201209": {"vr": "IS", "Value": [1]},
    }


@contextmanager
def timing(into: list[float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    into.append((time.perf_counter() - begin) * 1000)


def reads(samples: int) -> dict[str, float]:
    """Milliseconds (median) of the list's searches by somebody who may see ten hospitals."""
    from common.accounts.models import User
    from hospitals import selectors, services
    from sharing.selectors.listing import StudySearch, search_studies

    actor, created = User.objects.get_or_create(username="reader")
    if created:
        for n in range(10):
            services.grant_membership(
                actor="benchmark", user=actor, role="radiologist",
                institution=selectors.get_institution(code=f"H{n}"),
            )  # fmt: skip
    pick = random.Random(9)
    names = list(people(NAMES))

    def day() -> date:
        return FIRST_DAY + timedelta(days=pick.randrange(DAYS))

    def one_day() -> StudySearch:
        found = day()
        return StudySearch(since=found, until=found)

    asked: dict[str, Callable[[], StudySearch]] = {
        "by patient": lambda: StudySearch(patient_id=f"P{pick.randrange(400000)}"),
        "by day": one_day,
        "by name": lambda: StudySearch(
            patient_name=pick.choice(names).lstrip("=").replace("^", "")
        ),
        "newest": StudySearch,
    }
    took: dict[str, float] = {}
    for name, ask in asked.items():
        values: list[float] = []
        for _ in range(samples):
            search = ask()
            with timing(values):
                search_studies(actor=actor, search=search)
        took[name] = statistics.median(values)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    with scratch_database() as database, scratch_folder() as work:
        os.environ |= {
            "DATABASE_URL": database,
            "IMAGING_DATA_DIR": str(work),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        ids = prepare()
        rows: list[dict[str, Any]] = []
        start = 0
        for size in (int(word) for word in options.sizes.split(",")):
            filled = grow(start, size)
            wrote, _ = writes(ids[0], size, options.samples)
            found = reads(options.samples)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_total_relation_size('sharing_study') / 1e6")
                megabytes = float(cursor.fetchone()[0])
            rows.append({"studies": size, "filled in s": filled, "study table MB": megabytes}
                        | {f"{name} ms": value for name, value in (wrote | found).items()})  # fmt: skip
            print(rows[-1], flush=True)
            start = size
        connection.close()
        connection.close_pool()
    for row in rows:
        row["write x first"] = _sum(row) / _sum(rows[0])
    print()
    print_table(rows)
    keep("index_growth", rows)


def _sum(row: dict[str, Any]) -> float:
    return float(
        sum(row[f"{name} ms"] for name in ("index row", "series rows", "queue", "revision"))
    )


if __name__ == "__main__":
    main()
