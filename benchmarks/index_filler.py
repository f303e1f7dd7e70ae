#!/usr/bin/env python
"""Fill an index with made-up studies of a province, fast: ``index_filler.py STUDIES``, in its environment.

COPY into the tables, without their indexes for the first large filling. Names are as frequent as Chinese names are
(family names by their share of the population, given names of one or two characters), patients come several times,
hospitals are of very different size, and descriptions, modalities and dates are as a province's. The same number gives
the same studies. Beyond a million, PostgreSQL copies that million under other numbers (UIDs, patients, accession).
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import ROOT_UID

INSTITUTIONS = 100
MADE = 1_000_000  # so many are made here, one by one; further ones are copies of them
FIRST_DAY, DAYS = date(2016, 11, 1), 3650
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PER_PATIENT = 4
# Share of the population in per mille; the last ones stand for hundreds of rare ones.
FAMILY = dict(
    zip(
        "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤",
        [72, 71, 68, 54, 45, 31, 22, 21, 20, 19, 15, 14, 13, 13, 12, 11, 11, 10, 10, 9, 9, 8, 7, 7, 7,
         6, 6, 6, 6, 6, 5, 5, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3,
         3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
         2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        strict=False,
    )
)  # fmt: skip
GIVEN = (
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉建华玉红玲燕志海波宁鹏飞鑫宇浩然子轩梓涵欣怡佳琪雨泽晨曦梦瑶思诺"
    "一诺国庆春梅淑珍桂英凤兰秀珍金花德福长江永强新民卫东爱国援朝跃进胜利振兴少华晓东小红大伟立新学军慧婷雪倩莹琳颖露瑞博睿"
)
MODALITIES = (
    ["CT"] * 32
    + ["DX"] * 22
    + ["US"] * 18
    + ["MR"] * 14
    + ["CR"] * 6
    + ["MG"] * 4
    + ["XA"] * 2
    + ["PT", "NM"]
)
PARTS = [
    "胸部",
    "头颅",
    "腹部",
    "颈椎",
    "腰椎",
    "盆腔",
    "膝关节",
    "肝胆",
    "心脏",
    "乳腺",
    "甲状腺",
    "肾上腺",
    "鼻咽",
    "踝关节",
]
MANNERS = ["平扫", "增强", "平扫+增强", "正侧位", "三维重建", "动态增强", "随访"]
ENGLISH = ["Chest CT", "Brain MRI", "Abdomen", "CT Chest Low Dose", "Knee MR 3.0T", "Routine"]
STUDY = (
    "id, institution_id, study_instance_uid, patient_id, issuer_of_patient_id, patient_name, name_grams,"
    " patient_birth_date, patient_sex, study_date, study_time, accession_number, dicom_study_id, study_description,"
    " referring_physician_name, modalities, series_count, instance_count, size_bytes, listed_instances, state,"
    " found_at, checked_at, archived_at, more"
)
SERIES = (
    "id, study_id, series_instance_uid, modality, series_number, series_description, body_part_examined, series_date,"
    " series_time, instance_count, size_bytes, listed_instances, compared_by, state, performed_date, performed_time,"
    " request_attributes, more, current_id"
)
REVISION = (
    "id, series_id, number, prefix, instance_count, size_bytes, pack_digest, stored_at, verified_at"
)


@dataclass
class People:
    """Patients by number; their names and search words are made once for each name."""

    words: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.families = list(FAMILY)
        self.shares = list(itertools.accumulate(FAMILY.values()))

    def of(self, number: int) -> tuple[str, str, date]:
        """Name, sex and day of birth."""
        pick = random.Random(number)
        family = self.families[bisect(self.shares, pick.random() * self.shares[-1] * 0.999)]
        # Frequent characters are far more frequent than rare ones.
        characters = [GIVEN[int(len(GIVEN) * pick.random() ** 2)] for _ in range(2)]
        given = "".join(characters[: 1 if pick.random() < 0.15 else 2])
        name = f"{family}^{given}"
        name = f"{latin(family)}^{latin(given)}={name}" if pick.random() < 0.6 else f"={name}"
        born = date(1935, 1, 1) + timedelta(days=int(pick.random() * 32000))
        return name, pick.choice("MF"), born

    def grams(self, name: str) -> list[str]:
        from common.dicom.names import name_grams

        found = self.words.get(name)
        if found is None:
            found = name_grams(name)
            if len(self.words) < 300_000:
                self.words[name] = found
        return found


_LATIN: dict[str, str] = {}


def latin(characters: str) -> str:
    from pypinyin import lazy_pinyin

    found = _LATIN.get(characters)
    if found is None:
        found = _LATIN[characters] = "".join(lazy_pinyin(characters)).capitalize()
    return found


def studies(
    ids: Sequence[int], start: int, end: int, people: People, *, of: int = 0
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``STUDY``; the primary key is the number. The patients are those of ``of`` studies."""
    weights = list(itertools.accumulate(1 / (rank + 4) for rank in range(len(ids))))
    for number in range(start + 1, end + 1):
        pick = random.Random(number * 31 + 7)
        patient = pick.randrange(max(1, (of or end) // PER_PATIENT))
        name, sex, born = people.of(patient)
        day = FIRST_DAY + timedelta(days=int(DAYS * pick.random() ** 0.7))
        modality = pick.choice(MODALITIES)
        described = (
            pick.choice(PARTS) + pick.choice(MANNERS)
            if pick.random() < 0.8
            else pick.choice(ENGLISH)
        )
        doctor = people.of(10**9 + pick.randrange(2000))[0]
        institution = ids[bisect(weights, pick.random() * weights[-1] * 0.9999)]
        clock = f"{pick.randrange(7, 20):02d}{pick.randrange(60):02d}{pick.randrange(60):02d}"
        yield (
            number, institution, f"{ROOT_UID}.5.{number}", f"{patient:08d}", "", name, people.grams(name),
            born, sex, day, clock, f"A{day:%y%m}{number % 10**7:07d}", str(number % 10**6), described, doctor,
            [modality], 2, 400, 200_000_000, 400, "archived", NOW, NOW, NOW, "{}",
        )  # fmt: skip


def series(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Two for each study."""
    for row in rows:
        number, uid, day, clock, modality = row[0], row[2], row[9], row[10], row[15][0]
        request = f'[{{"00400009": "S{number}", "00401001": "R{number}"}}]'
        more = '{"00080070": ["UIH"], "00081090": ["uCT 780"]}'
        for k in (1, 2):
            yield (
                number * 2 + k - 2, number, f"{uid}.{k}", modality, k, f"{row[13]} {k}.0 mm", "", day, clock,
                200, 100_000_000, 200, "uids", "verified", day, clock, request, more,
                number * 2 + k - 2,
            )  # fmt: skip


def revisions(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        prefix = f"archive/H/{row[2]}/000001"
        yield (row[0], row[0], 1, prefix, 200, 100_000_000, "a" * 64, NOW, NOW)


def prepare(count: int = INSTITUTIONS) -> list[int]:
    """A region and its institutions, if there are none; their ids by size."""
    from hospitals import selectors, services
    from hospitals.errors import InstitutionUnknown

    def known(code: str) -> int:
        return int(selectors.get_institution(code=code).pk)

    try:
        return [known(f"H{n}") for n in range(count)]
    except InstitutionUnknown:
        region = services.add_region(actor="benchmark", code="420000", name="湖北省")
    return [
        services.add_institution(
            actor="benchmark", code=f"H{n}", name=f"第{n}人民医院", region=region
        ).pk
        for n in range(count)
    ]


def fill(
    ids: Sequence[int], start: int, end: int, *, with_series: bool = True, step: int = 50_000
) -> float:
    """Rows from ``start`` to ``end``; returns the seconds. Secondary indexes are made anew at the end."""
    from django.db import connection, transaction

    begin = time.perf_counter()
    people = People()
    with connection.cursor() as cursor:
        dropped = _drop_indexes(cursor) if end - start > 50_000 else []
        cursor.execute("ALTER TABLE sharing_study DISABLE TRIGGER USER")
        made = min(end, MADE) if start == 0 and end % MADE == 0 else end
        for low in range(start, made, step):
            rows = list(studies(ids, low, min(made, low + step), people, of=made))
            with transaction.atomic():  # series and revision name each other
                _copy(cursor, "sharing_study", STUDY, rows)
                if with_series:
                    these = list(series(rows))
                    _copy(cursor, "sharing_series", SERIES, these)
                    _copy(cursor, "sharing_seriesrevision", REVISION, revisions(these))
            print(f"  {low + len(rows)} of {end}", end="\r", flush=True)
        for shift in range(made, end, MADE):
            with transaction.atomic():
                _multiply(cursor, shift, with_series=with_series)
            print(f"  {shift + MADE} of {end}", end="\r", flush=True)
        cursor.execute("ALTER TABLE sharing_study ENABLE TRIGGER USER")
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for statement in dropped:
            cursor.execute(statement)
        for table in ("study", "series", "seriesrevision"):
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('sharing_{table}', 'id'),"
                f" (SELECT coalesce(max(id), 1) FROM sharing_{table}))"
            )
        _statistics(cursor)
        cursor.execute("VACUUM ANALYZE")
    return time.perf_counter() - begin


def _copy(cursor: Any, table: str, columns: str, rows: Any) -> None:
    with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _multiply(cursor: Any, shift: int, *, with_series: bool) -> None:
    """The first million again, ``shift`` numbers higher."""
    other = {
        "study": {
            "id": f"id + {shift}",
            "study_instance_uid": f"'{ROOT_UID}.5.' || (id + {shift})",
            "patient_id": f"lpad((patient_id::bigint + {shift // PER_PATIENT})::text, 8, '0')",
            "accession_number": f"left(accession_number, 5) || lpad(((id + {shift}) % 10000000)::text, 7, '0')",
        },
        "series": {
            "id": f"id + {2 * shift}",
            "study_id": f"study_id + {shift}",
            "series_instance_uid": f"'{ROOT_UID}.5.' || (study_id + {shift}) || '.' || series_number",
            "request_attributes": f"jsonb_build_array(jsonb_build_object('00400009', 'S' || (study_id + {shift}),"
            f" '00401001', 'R' || (study_id + {shift})))",
            "current_id": f"current_id + {2 * shift}",
        },
        "seriesrevision": {
            "id": f"id + {2 * shift}",
            "series_id": f"series_id + {2 * shift}",
            "prefix": f"'archive/H/{ROOT_UID}.5.' || ((series_id + 1) / 2 + {shift}) || '.' || (2 - series_id % 2)"
            " || '/000001'",
        },
    }
    columns = {"study": STUDY, "series": SERIES, "seriesrevision": REVISION}
    for table in other if with_series else ("study",):
        taken = ", ".join(other[table].get(name, name) for name in columns[table].split(", "))
        most = MADE if table == "study" else 2 * MADE
        cursor.execute(
            f"INSERT INTO sharing_{table} ({columns[table]}) SELECT {taken} FROM sharing_{table} WHERE id <= {most}"
        )


def _drop_indexes(cursor: Any) -> list[str]:
    """The statements that make the secondary indexes of the tables again; those of constraints stay."""
    cursor.execute(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid IN ('sharing_study'::regclass, 'sharing_series'::regclass) AND NOT i.indisunique"
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f'DROP INDEX "{name}"')
    return [statement for _, statement in found]


def _statistics(cursor: Any) -> None:
    """As the migration sets them: an index that was made anew has lost them."""
    for column in range(1, 6):
        cursor.execute(f"ALTER INDEX study_by_text ALTER COLUMN {column} SET STATISTICS 500")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    print(f"{fill(prepare(), 0, int(sys.argv[1])):.0f} s")


if __name__ == "__main__":
    main()
