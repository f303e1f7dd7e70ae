"""Patient: one per person, by the key that says nothing (R4 Patient)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sharing.models import Study
from sharing.services import linking
from tests.sharing.fhir.conftest import UID, Province, Reader
from tests.support import archive
from tests.support.fhir import included, link, matches, valid
from tests.support.patients import MALE_ID, registered

NUMBERS = "urn:x-province:patient-number:"
PERSON = "urn:x-province:person"


def numbers(bundle: Any) -> list[str]:
    """Institution and number of each match."""
    identifiers = [each["identifier"][0] for each in matches(bundle)]
    return [f"{each['system'].removeprefix(NUMBERS)} {each['value']}" for each in identifiers]


def patient_of(reader: Reader, study: Study) -> str:
    return str(reader.found(f"ImagingStudy/{study.pk}")["subject"]["reference"])


def test_a_patient_says_what_the_newest_study_says(province: Province, reader: Reader) -> None:
    patient = valid(reader.found(patient_of(reader, province.zhang_older)))

    assert patient["identifier"][0]["system"] == f"{NUMBERS}near_1"
    assert patient["identifier"][0]["value"] == "P1"
    assert [(each["text"], each["family"], each["given"]) for each in patient["name"]] == [
        ("Zhang San", "Zhang", ["San"]),
        ("张三", "张", ["三"]),
    ]
    assert [each["extension"][0]["valueCode"] for each in patient["name"]] == ["ABC", "IDE"]
    assert (patient["gender"], patient["birthDate"]) == ("male", "1980-02-02")
    assert patient["managingOrganization"]["reference"] == "Organization/near.1"


def test_the_id_of_a_patient_stays_when_studies_come_and_says_nothing(
    province: Province, reader: Reader
) -> None:
    before = patient_of(reader, province.zhang)
    archive.make_indexed_study(
        province.near, f"{UID}.20", patient_id="P1", study_date=dt.date(2020, 1, 1)
    )

    assert patient_of(reader, province.zhang) == before
    assert "P1" not in before


def test_the_same_number_at_two_hospitals_is_two_patients(
    province: Province, reader: Reader
) -> None:
    assert patient_of(reader, province.zhang) != patient_of(reader, province.wang)


def test_studies_without_a_number_are_patients_of_their_own(
    province: Province, reader: Reader
) -> None:
    first, second = (
        archive.make_indexed_study(province.near, f"{UID}.{end}", patient_name="No^Number")
        for end in (21, 22)
    )

    found = matches(reader.found("Patient?name=number&_count=1"))
    following = reader.get(link(reader.found("Patient?name=number&_count=1"), "next")).json()

    assert patient_of(reader, first) != patient_of(reader, second)
    assert [each["id"] for each in (*found, *matches(following))] == [
        first.person.key,
        second.person.key,
    ]
    assert [each["system"] for each in found[0]["identifier"]] == [PERSON]


def test_a_person_of_two_hospitals_is_one_patient_with_both_numbers(
    province: Province, reader: Reader
) -> None:
    zhang, wang = province.zhang, province.wang
    former = wang.person.key
    linking.link(actor="test", patient=wang.local_patient, to_person=zhang.person, ground="review")

    patient = valid(reader.found(patient_of(reader, wang)))

    assert (patient["id"], patient_of(reader, zhang)) == (
        zhang.person.key,
        f"Patient/{patient['id']}",
    )
    assert [each["system"] for each in patient["identifier"]] == [
        f"{NUMBERS}near_1", f"{NUMBERS}partner", PERSON
    ]  # fmt: skip
    assert "managingOrganization" not in patient
    assert reader.found(f"Patient/{former}")["id"] == zhang.person.key
    studies = matches(reader.found(f"ImagingStudy?patient={zhang.person.key}"))
    assert {each["id"] for each in studies} >= {str(zhang.pk), str(wang.pk)}
    assert matches(reader.found(f"Patient?identifier={PERSON}|{zhang.person.key}"))[0] == patient


def test_identities_are_rendered_masked_and_never_given(province: Province, reader: Reader) -> None:
    registered(
        province.near,
        "P1",
        resident_id=MALE_ID,
        phone="13800005678",
        birth_date=dt.date(2000, 1, 1),
    )

    patient = valid(reader.found(patient_of(reader, province.zhang)))

    text = str(patient)
    assert "990***********0014" in text
    assert "138****5678" in text
    assert MALE_ID not in text
    assert "13800005678" not in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("identifier=P1", ["near_1 P1", "partner P1"]),
        (f"identifier={NUMBERS}partner|P1", ["partner P1"]),
        (f"identifier={NUMBERS}partner|", ["partner P1"]),
        ("identifier=http://other|P1", []),
        ("identifier=|P1", []),
        ("name=张", ["near_1 P1"]),
        ("name=张三,王", ["near_1 P1", "partner P1"]),
        ("name=zhangsan", ["near_1 P1"]),
        ("name=zs", ["near_1 P1"]),
        ("name=ZHANG", ["near_1 P1"]),
        ("name=ang", []),
        ("name:exact=张三", ["near_1 P1"]),
        ("name:exact=Zhang San", ["near_1 P1"]),
        ("name:exact=Zhang", []),
        ("name:exact=.*", []),
        ("family=zha", ["near_1 P1"]),
        ("family=张", ["near_1 P1"]),
        ("family=san", []),
        ("family:exact=Zhang", ["near_1 P1"]),
        ("family:exact=Zha", []),
        ("given=san", ["near_1 P1"]),
        ("given=三", ["near_1 P1"]),
        ("given=zhang", []),
        ("given:exact=San", ["near_1 P1"]),
        ("family=***", []),
        ("name=zhang,wang&birthdate=1980-02", ["near_1 P1", "partner P1"]),
        ("name=zhang,wang&birthdate=1980-02-03", ["partner P1"]),
        ("name=zhang,wang&birthdate=lt1980-02-03", ["near_1 P1"]),
        ("name=zhang,wang&gender=male", ["near_1 P1", "partner P1"]),
        ("name=zhang&gender=female", []),
        ("name=zhang&gender=unknown", []),
        ("name=zhang,wang&organization=Organization/partner", ["partner P1"]),
    ],
)
def test_a_search_finds_the_people_it_asks_for(
    province: Province, reader: Reader, query: str, found: list[str]
) -> None:
    assert numbers(reader.found(f"Patient?{query}")) == found


def test_a_name_of_one_component_of_han_is_found_too(province: Province, reader: Reader) -> None:
    archive.make_indexed_study(
        province.near, f"{UID}.30", patient_id="P30", patient_name="ZHAO LIU=赵六"
    )

    assert numbers(reader.found("Patient?name:exact=赵六")) == ["near_1 P30"]
    assert numbers(reader.found("Patient?name=liu")) == ["near_1 P30"]


def test_a_search_for_everybody_is_refused(province: Province, reader: Reader) -> None:
    for query in ("", "gender=male", "birthdate=1980", "_summary=count"):
        answer = reader.get(f"Patient?{query}")

        assert answer.status_code == 400
        assert valid(answer.json())["issue"][0]["code"] == "too-costly"


def test_pages_of_patients_go_by_institution_and_number(province: Province, reader: Reader) -> None:
    for number in range(5):
        for end in (0, 1):
            archive.make_indexed_study(
                province.near,
                f"{UID}.{number + 40}.{end}",
                patient_id=f"Q{number}",
                patient_name="Zhang^Li",
            )

    bundle = reader.found("Patient?name=zhang&_count=2&_total=accurate")
    total, seen = bundle["total"], numbers(bundle)
    while following := link(bundle, "next"):
        assert "zhang" not in following
        bundle = reader.get(following).json()
        seen += numbers(bundle)

    assert seen == ["near_1 P1", *(f"near_1 Q{number}" for number in range(5))]
    assert total == 6


def test_the_organization_comes_with_its_patients(province: Province, reader: Reader) -> None:
    bundle = reader.found("Patient?name=zhang&_include=Patient:organization")

    assert [each["id"] for each in included(bundle)] == ["near.1"]


def test_a_patient_search_can_be_sent_in_a_body(province: Province, reader: Reader) -> None:
    answer = reader.post("Patient/_search", {"name": "张三", "birthdate": "1980"})

    assert numbers(answer.json()) == ["near_1 P1"]


def test_a_page_of_many_patients_takes_as_many_queries_as_one_of_few(
    province: Province, reader: Reader
) -> None:
    reader.found("Patient?name=zhang")
    with CaptureQueriesContext(connection) as few:
        reader.found("Patient?name=zhang")
    for number in range(30):
        archive.make_indexed_study(
            province.near, f"{UID}.50.{number}", patient_id=f"R{number}", patient_name="Zhang^Li"
        )

    with CaptureQueriesContext(connection) as many:
        assert len(matches(reader.found("Patient?name=zhang&_count=50"))) == 31

    assert len(many) == len(few)
