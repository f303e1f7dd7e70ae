"""What is sieved out of a hospital's answer is nothing that our own search would have found."""

from __future__ import annotations

from datetime import date
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest

from sharing.dicomweb.query import path_of
from sharing.domain.question import Question, fits, keys_for
from sharing.models import Study
from tests.support.archive import make_indexed_study

NAMES = [
    "Zhang^San=张^三", "Zhang^Sanfeng=张^三丰", "ZHANG^SAN", "Li^Si", "Ouyang^Xiaoli=欧阳^小丽",
    "=王^五", "O'Brien^Seán", "San^Zhang^^Dr", "", "Lü^Bu=吕^布",
]  # fmt: skip
NUMBERS = ["P1", "P10", "p1", "A-1*", "", "0001"]
QUERIES: list[dict[str, str]] = [
    *({"PatientName": each} for each in (
        "zhang", "zhangsan", "zs", "Zhang*", "*San", "zhang^san", "张", "张三", "张*", "三丰", "Z?ang^San",
        "=张^三", "Zhang^San=张^三", "欧阳", "oyxl", "o'brien", "sean", "lubu", "lvbu", "*", "San Zhang", "王五",
    )),
    *({"PatientID": each} for each in ("P1", "P1*", "P?", "near:P1", "near:P*", "partner:P1", "P1\\0001", "A-1*")),
    *({"StudyDate": each} for each in ("20260301", "20260201-20260315", "-20260101", "20260301-", "2026.03.01")),
    *({"ModalitiesInStudy": each} for each in ("CT", "CT\\MR", "CT,MR", "ct", "M*")),
    *({"AccessionNumber": each} for each in ("ACC-1", "ACC*", "acc-1")),
    {"PatientName": "zhang", "PatientID": "P1", "StudyDate": "20260301"},
    {"PatientID": '""', "emptyvaluematching": "true"},
    {"PatientName": "zangsan", "fuzzymatching": "true"},
]  # fmt: skip


def hospital_row(study: Study) -> dict[str, Any]:
    """The study as its hospital would list it."""
    groups = zip(("Alphabetic", "Ideographic"), study.patient_name.split("="), strict=False)
    name = {group: text for group, text in groups if text}
    values = {
        "0020000D": study.study_instance_uid,
        "00080020": f"{study.study_date:%Y%m%d}" if study.study_date else None,
        "00080050": study.accession_number,
        "00100010": name or None,
        "00100020": study.patient_id,
    }
    row: dict[str, Any] = {tag: {"Value": [value]} for tag, value in values.items() if value}
    return row | {"00080061": {"Value": study.modalities}}


@pytest.fixture
def studies(province: Any) -> list[Study]:
    """Every name with every number, on three days and without one."""
    days = [date(2026, 3, 1), date(2026, 2, 10), date(2025, 12, 31), None]
    return [
        make_indexed_study(
            province.near,
            f"1.2.{number + 1}",
            patient_name=name,
            patient_id=patient_id,
            study_date=days[number % 4],
            accession_number=f"ACC-{number % 3}",
            modalities=[["CT"], ["MR", "SR"], []][number % 3],
        )
        for number, (name, patient_id) in enumerate(product(NAMES, NUMBERS))
    ]


def test_the_sieve_lets_through_whatever_our_own_search_finds(reader, studies):
    lost = []
    for query in QUERIES:
        found = reader.get(f"/dicom-web/studies?{urlencode(query)}").json()
        uids = {row["0020000D"]["Value"][0] for row in found}
        keys = {str(path_of(name)): value for name, value in query.items() if path_of(name)}
        fuzzy = query.get("fuzzymatching") == "true"
        local = keys_for(Question(keys, namespaced=True), "near")
        passed = {
            study.study_instance_uid
            for study in studies
            if local is not None and fits(hospital_row(study), local, fuzzy=fuzzy)
        }
        lost += [(query, uid) for uid in sorted(uids - passed)]

    assert lost == []


def test_the_sieve_holds_back_what_was_not_asked_for(studies):
    keys = {"00100020": "P1", "00100010": "zhangsan"}

    passed = [study for study in studies if fits(hospital_row(study), keys)]

    assert {study.patient_id for study in passed} == {"P1"}
    assert len(passed) < len(NAMES)
