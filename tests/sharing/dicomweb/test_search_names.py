"""Person names in a search: the standard's matching, our extension, and fuzzy matching (PS3.18 §8.3.4.2)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.sharing.dicomweb.conftest import Province
from tests.support import archive

NAMES = {
    "1.1": "Zhang^San=张^三=ちょう^さん",
    "1.2": "Wang^XiaoMing=王^小明",
    "1.3": "=欧阳^修",
    "1.4": "Müller^Anna Maria",
    "1.5": "Smith^John^^Dr.",
    "1.6": "O'Brien^[x]%_\\1",
    "1.7": "Zhangsun^Wuji",
    "1.8": "",
}
EVERYBODY = sorted(NAMES)


@pytest.fixture
def people(province: Province, reader: Any) -> Any:
    for uid, name in NAMES.items():
        archive.make_indexed_study(
            province.near, uid, patient_name=name, referring_physician_name=name
        )
    return reader


def found(client: Any, value: str, *, key: str = "PatientName", more: str = "") -> list[str]:
    answer = client.get(f"/dicom-web/at/near/studies?{key}={quote(value)}{more}")
    assert answer.status_code == 200, answer.content
    return sorted(row["0020000D"]["Value"][0] for row in answer.json())


@pytest.mark.parametrize("key", ["PatientName", "00080090"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Zhang^San", ["1.1"]),
        ("ZHANG^SAN", ["1.1"]),
        ("zhang^san^^^", ["1.1"]),
        ("Zhang", []),
        ("Zhang*", ["1.1", "1.7"]),
        ("Zhang^*", ["1.1"]),
        ("*San", ["1.1"]),
        ("Z?ang^S?n", ["1.1"]),
        ("张^三", ["1.1"]),
        ("张*", ["1.1"]),
        ("*三", ["1.1"]),
        ("ちょう^さん", ["1.1"]),
        ("Zhang^San=张^三", ["1.1"]),
        ("Zhang^San=王^三", []),
        ("=张^三", ["1.1"]),
        ("Zhang*=张*", ["1.1"]),
        ("Wang^xiao*", ["1.2"]),
        ("Smith^John^^Dr.", ["1.5"]),
        ("Smith^J*", ["1.5"]),
        ("o'brien^[X]%_*", ["1.6"]),
        ("O?Brien*", ["1.6"]),
        ("%", []),
        ("_*", []),
        ("Zhang^San\\Smith*", ["1.1", "1.5"]),
        ("*", EVERYBODY),
        ("**", EVERYBODY),
        ("", EVERYBODY),
        ("*ang*n*", ["1.1", "1.2", "1.7"]),
    ],
)
def test_the_standards_matching_is_by_letter_in_a_component_group(
    people: Any, key: str, value: str, expected: list[str]
) -> None:
    assert found(people, value, key=key, more="&fuzzymatching=false") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("张三", ["1.1"]),
        ("*张三*", ["1.1"]),
        ("zhangsan", ["1.1"]),
        ("zhang", ["1.1", "1.7"]),
        ("zs", ["1.1"]),
        ("san zhang", ["1.1"]),
        ("小明", ["1.2"]),
        ("wxm", ["1.2"]),
        ("ouyangxiu", ["1.3"]),
        ("ouyang*", ["1.3"]),
        ("muller", ["1.4"]),
        ("Maria Muller", ["1.4"]),
        ("*smit*", ["1.5"]),
        ("*mit*", ["1.5"]),
        ("zang", []),
        ("smyth", []),
    ],
)
def test_a_bare_word_also_finds_han_pinyin_initials_and_beginnings(
    people: Any, value: str, expected: list[str]
) -> None:
    assert found(people, value) == expected


@pytest.mark.parametrize("value", ["San^Zhang", "Muller^Anna*", "zh^s", "Zhang=Wang"])
def test_a_value_of_the_standards_form_is_matched_by_the_standard_alone(
    people: Any, value: str
) -> None:
    alone = found(people, value, more="&fuzzymatching=false")

    assert alone == found(people, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("zang san", ["1.1"]),
        ("san zhang", ["1.1"]),
        ("章三", ["1.1"]),
        ("wang xiaomin", ["1.2"]),
        ("anna müller", ["1.4"]),
        ("MULLER ANNA", ["1.4"]),
        ("smyth", ["1.5"]),
        ("john schmidt", ["1.5"]),
        ("john jones", []),
        ("Smith^John*", ["1.5"]),
        ("obrien", ["1.6"]),
        ("*", EVERYBODY),
    ],
)
def test_fuzzy_matching_forgives_order_accents_case_and_sound(
    people: Any, value: str, expected: list[str]
) -> None:
    assert found(people, value, more="&fuzzymatching=true") == expected


def test_fuzzy_matching_of_other_names_forgives_the_order_of_words(people: Any) -> None:
    key = "ReferringPhysicianName"

    assert found(people, "john smith", key=key, more="&fuzzymatching=true") == ["1.5"]
    assert found(people, "john smith", key=key) == []


def test_an_empty_name_is_found_by_empty_value_matching_alone(people: Any) -> None:
    assert found(people, '""', more="&emptyvaluematching=true") == ["1.8"]
    assert found(people, '""') == []
