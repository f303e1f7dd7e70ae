"""ImagingStudy: what is answered and how it is found (R4 ImagingStudy)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydicom.data import get_testdata_file

from sharing.fhir import series as fhir_series
from sharing.models import Series, SeriesRevision, Study
from tests.sharing.fhir.conftest import UID, Province, Reader, make_study, reader_of
from tests.support import archive
from tests.support.fhir import included, link, matches, valid, warnings

DCM = "http://dicom.nema.org/resources/ontology/DCM"


def uids(bundle: Any) -> list[str]:
    """Last component of the Study Instance UID of each match."""
    return [each["identifier"][0]["value"].rpartition(".")[2] for each in matches(bundle)]


def test_a_study_says_what_the_index_knows(province: Province, reader: Reader) -> None:
    answer = reader.get(f"ImagingStudy/{province.zhang.pk}")

    study = valid(answer.json())
    assert answer["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{UID}.2"}
    assert study["identifier"][1]["value"] == "ACC2"
    assert study["status"] == "available"
    assert study["started"] == "2026-01-05T10:15:00.250000+08:00"
    assert study["modality"] == [{"system": DCM, "code": "MR"}]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 3)
    assert study["description"] == "胸部平扫"
    assert study["endpoint"] == [{"reference": "Endpoint/near.1"}]
    assert study["subject"]["identifier"]["value"] == "P1"
    (series,) = study["series"]
    assert series == {
        "uid": f"{UID}.2.1",
        "number": 1,
        "modality": {"system": DCM, "code": "MR"},
        "description": "axial",
        "numberOfInstances": 3,
        "bodySite": {"code": "CHEST", "display": "CHEST"},
        "started": "2026-01-05T10:16:00+08:00",
    }


@pytest.mark.parametrize(
    ("day", "time", "started"),
    [
        (dt.date(2026, 1, 5), "", "2026-01-05"),
        (dt.date(2026, 1, 5), "10", "2026-01-05"),
        (dt.date(2026, 1, 5), "1015", "2026-01-05T10:15:00+08:00"),
        (dt.date(2026, 1, 5), "10:15:30", "2026-01-05T10:15:30+08:00"),
        (dt.date(2026, 1, 5), "235960", "2026-01-05T23:59:59+08:00"),
        (dt.date(2026, 1, 5), "9999", "2026-01-05"),
        (dt.date(1900, 1, 1), "101500", "1900-01-01"),  # local mean time, +08:05:43
        (dt.date(1, 1, 1), "", "0001-01-01"),
        (None, "101500", None),
    ],
)
def test_started_is_as_precise_as_what_was_sent(
    province: Province, reader: Reader, day: dt.date | None, time: str, started: str | None
) -> None:
    Study.objects.filter(pk=province.zhang.pk).update(study_date=day, study_time=time)

    study = valid(reader.found(f"ImagingStudy/{province.zhang.pk}"))

    assert study.get("started") == started


def test_a_study_known_from_the_list_only_is_registered(province: Province, reader: Reader) -> None:
    listed = archive.make_indexed_study(province.near, f"{UID}.9", listed_instances=7)

    study = valid(reader.found(f"ImagingStudy/{listed.pk}"))

    assert (study["status"], study["numberOfInstances"]) == ("registered", 7)
    assert "series" not in study


def test_what_devices_write_into_text_does_not_break_the_resource(
    province: Province, reader: Reader
) -> None:
    Study.objects.filter(pk=province.zhang.pk).update(
        study_description="  \x1b\x07 ", modalities=["C T ", "\x08"], patient_name="^^^=="
    )
    Series.objects.filter(study=province.zhang).update(
        modality="", series_number=-5, body_part_examined=" \t", series_description="\x07x"
    )

    study = valid(reader.found(f"ImagingStudy/{province.zhang.pk}"))

    assert "description" not in study
    assert study["series"][0]["modality"]["code"] == "OT"
    assert "number" not in study["series"][0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["2", "3", "1"]),
        (f"identifier=urn:dicom:uid|urn:oid:{UID}.3", ["3"]),
        (f"identifier=urn:oid:{UID}.3,urn:oid:{UID}.1", ["3", "1"]),
        (f"identifier={UID}.3", []),  # without urn:oid: it is another value
        ("identifier=ACC2", ["2"]),
        ("identifier=urn:x-province:accession-number:near_1|ACC2", ["2"]),
        ("identifier=urn:x-province:accession-number:partner|ACC2", []),
        ("identifier=|ACC2", []),
        ("modality=MR", ["2"]),
        (f"modality={DCM}|CT", ["3", "1"]),
        ("modality=CT,MR", ["2", "3", "1"]),
        ("modality=http://other|CT", []),
        (f"series={UID}.3.1", ["3"]),
        (f"series=urn:oid:{UID}.3.1", ["3"]),
        ("status=available", ["2", "3", "1"]),
        ("status=registered", []),
        ("status=cancelled", []),
        ("endpoint=Endpoint/partner", ["3"]),
        ("endpoint=near.1", ["2", "1"]),
        ("endpoint=http://testserver/fhir/Endpoint/near.1", ["2", "1"]),
        ("patient.identifier=P1", ["2", "3", "1"]),
        ("patient.identifier=urn:x-province:patient-number:partner|P1", ["3"]),
        ("patient:identifier=urn:x-province:patient-number:partner|P1", ["3"]),
        ("subject:Patient.name=wang", ["3"]),
        ("patient.name=张三", ["2", "1"]),
        ("patient.birthdate=1980-02-03&modality=CT", ["3"]),
        ("modality=CT&modality=MR", []),
    ],
)
def test_a_search_finds_what_it_asks_for(
    province: Province, reader: Reader, query: str, found: list[str]
) -> None:
    assert uids(reader.found(f"ImagingStudy?{query}")) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-01-04", ["3"]),
        ("eq2026-01-04", ["3"]),
        ("ne2026-01-04", ["2", "1"]),
        ("2026-01", ["2", "3", "1"]),
        ("2026", ["2", "3", "1"]),
        ("gt2026-01-04", ["2"]),
        ("ge2026-01-04", ["2", "3"]),
        ("lt2026-01-04", ["1"]),
        ("le2026-01-04", ["3", "1"]),
        ("sa2026-01-04", ["2"]),
        ("eb2026-01-04", ["1"]),
        ("le9999-12-31", ["2", "3", "1"]),
        ("ge0001", ["2", "3", "1"]),
        ("2026-01-04T10:15", ["3"]),
        ("2026-01-04T10:14", []),
        ("2026-01-04T10:15:00.25", ["3"]),
        ("2026-01-04T02:15:00Z", ["3"]),
        ("2026-01-04T10:15:00+08:00", ["3"]),
        ("ge2026-01-04T10:15:00.3", ["2"]),
        ("lt2026-01-04T10:15:00.25", ["1"]),
        ("le2026-01-04T10:15:00.25", ["3", "1"]),
        ("gt2026-01-04T10:15", ["2"]),
        ("ge2026-01-03&started=lt2026-01-05", ["3"]),
    ],
)
def test_started_is_compared_as_the_prefix_says(
    province: Province, reader: Reader, value: str, found: list[str]
) -> None:
    assert uids(reader.found(f"ImagingStudy?started={quote(value, safe='&=')}")) == found


def test_a_study_without_a_time_lasts_the_whole_day_for_comparisons(
    province: Province, reader: Reader
) -> None:
    Study.objects.filter(pk=province.wang.pk).update(study_time="")

    assert "3" in uids(reader.found("ImagingStudy?started=gt2026-01-04T12:00"))
    assert "3" in uids(reader.found("ImagingStudy?started=lt2026-01-04T12:00"))
    assert "3" not in uids(reader.found("ImagingStudy?started=2026-01-04T12:00"))


def test_a_study_without_a_date_is_found_by_no_date(province: Province, reader: Reader) -> None:
    Study.objects.filter(pk=province.wang.pk).update(study_date=None)

    for value in ("ne2000-01-01", "lt2999-01-01T10:00", "ge1900"):
        assert "3" not in uids(reader.found(f"ImagingStudy?started={value}"))
    assert uids(reader.found("ImagingStudy")) == ["2", "1", "3"]


def test_the_patient_of_a_study_leads_to_its_other_studies(
    province: Province, reader: Reader
) -> None:
    study = reader.found(f"ImagingStudy/{province.zhang.pk}")
    patient = study["subject"]["reference"]

    assert uids(reader.found(f"ImagingStudy?patient={patient}")) == ["2", "1"]
    assert uids(reader.found(f"ImagingStudy?subject={patient}")) == ["2", "1"]
    assert uids(reader.found(f"ImagingStudy?patient={patient.partition('/')[2]}")) == ["2", "1"]
    assert uids(reader.found(f"ImagingStudy?patient=http://elsewhere/fhir/{patient}")) == []


def test_patient_and_endpoint_come_with_the_studies_once_each(
    province: Province, reader: Reader
) -> None:
    bundle = reader.found(
        "ImagingStudy?_include=ImagingStudy:patient&_include=ImagingStudy:subject"
        "&_include=ImagingStudy:endpoint"
    )

    found = [f"{each['resourceType']}/{each['id']}" for each in included(bundle)]
    referred = {each["subject"]["reference"] for each in matches(bundle)}
    assert sorted(found) == sorted({*referred, "Endpoint/near.1", "Endpoint/partner"})


def test_pages_follow_each_other_whatever_arrives_meanwhile(
    province: Province, reader: Reader
) -> None:
    bundle = reader.found("ImagingStudy?_count=1")
    seen = uids(bundle)
    assert "total" not in bundle
    make_study(province.near, 8, day=20, name="New")
    Study.objects.filter(pk=province.zhang_older.pk).update(study_date=None)

    while following := link(bundle, "next"):
        bundle = reader.get(following).json()
        seen += uids(bundle)

    assert seen == ["2", "3", "1"]


def test_a_page_behind_a_study_that_is_gone_has_to_be_searched_anew(
    province: Province, reader: Reader
) -> None:
    following = link(reader.found("ImagingStudy?_count=1"), "next")
    province.zhang.delete()

    answer = reader.get(following)

    assert answer.status_code == 410
    assert valid(answer.json())["issue"][0]["code"] == "expired"


@pytest.mark.parametrize(
    ("query", "total", "shown"),
    [
        ("", 3, 3),
        ("_count=2", None, 2),
        ("_count=2&_total=accurate", 3, 2),
        ("_total=none", None, 3),
        ("_summary=count", 3, 0),
        ("_count=0", 3, 0),
        ("_count=100000", 3, 3),
        ("modality=MR", 1, 1),
    ],
)
def test_the_total_is_said_where_it_costs_little_or_is_asked_for(
    province: Province, reader: Reader, query: str, total: int | None, shown: int
) -> None:
    bundle = reader.found(f"ImagingStudy?{query}")

    assert bundle.get("total") == total
    assert len(matches(bundle)) == shown


def test_no_address_of_ours_says_whom_a_search_was_for(province: Province, reader: Reader) -> None:
    query = "patient.name=zhang&identifier=ACC1,ACC2&modality=CT,MR&_count=1"
    bundle = reader.found(f"ImagingStudy?{query}")
    own, following = link(bundle, "self"), link(bundle, "next")

    assert "modality=CT%2CMR" in own
    assert not any(word in own + following for word in ("zhang", "ACC1", "patient"))
    assert uids(reader.get(own).json()) == ["2"]
    assert uids(reader.get(following).json()) == ["1"]


def test_a_sealed_link_is_good_for_its_own_account_only(province: Province, reader: Reader) -> None:
    own = link(reader.found("ImagingStudy?patient.name=zhang"), "self")
    other = reader_of(archive.make_user("colleague", "radiologist", province.near))

    assert other.get(own).status_code == 400


def test_a_search_can_be_sent_by_a_token_that_only_reads(
    province: Province, reader: Reader
) -> None:
    answer = reader.post("ImagingStudy/_search", {"patient.name": "张三", "_format": "json"})

    assert answer.status_code == 200
    assert uids(answer.json()) == ["2", "1"]


def test_the_parameters_of_the_address_count_in_a_search_that_is_sent(
    province: Province, reader: Reader
) -> None:
    assert uids(
        reader.post("ImagingStudy/_search?modality=MR", {"status": "available"}).json()
    ) == ["2"]


def test_a_parameter_that_is_not_known_is_ignored_aloud(province: Province, reader: Reader) -> None:
    bundle = reader.found("ImagingStudy?dicom-class=1.2&_sort=started&modality=MR")

    assert uids(bundle) == ["2"]
    assert "dicom-class" in warnings(valid(bundle))
    assert "_sort" in warnings(bundle)


def test_a_parameter_that_is_not_known_is_refused_where_the_caller_is_strict(
    province: Province, reader: Reader
) -> None:
    answer = reader.get("ImagingStudy?reason=x", Prefer="handling=strict")

    assert answer.status_code == 400
    assert "reason" in valid(answer.json())["issue"][0]["diagnostics"]


def test_a_read_lists_the_instances_of_what_is_archived(
    province: Province, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(str(get_testdata_file("CT_small.dcm")))
    (stored,) = archive.archive_files(province.near, [path], tmp_path=tmp_path)

    study = valid(reader.found(f"ImagingStudy/{stored.study.pk}"))

    assert study["series"][0]["instance"] == [
        {
            "uid": stored.header.sop_instance_uid,
            "number": 1,
            "sopClass": {
                "system": "urn:ietf:rfc:3986",
                "code": f"urn:oid:{stored.header.sop_class_uid}",
            },
        }
    ]
    searched = matches(reader.found(f"ImagingStudy?_id={stored.study.pk}"))
    assert "instance" not in searched[0]["series"][0]
    SeriesRevision.objects.filter(series__study=stored.study).update(prefix="archive/lost")
    assert "instance" not in reader.found(f"ImagingStudy/{stored.study.pk}")["series"][0]
    monkeypatch.setattr("sharing.fhir.imaging_study.MAX_INSTANCES", 0)
    assert "instance" not in reader.found(f"ImagingStudy/{stored.study.pk}")["series"][0]
    assert fhir_series.MAX_INSTANCES == 2_000


def test_a_page_of_many_studies_takes_as_many_queries_as_one_of_few(
    province: Province, reader: Reader
) -> None:
    address = "ImagingStudy?_include=ImagingStudy:patient&_include=ImagingStudy:endpoint&_count=50"
    reader.found(address)
    with CaptureQueriesContext(connection) as few:
        reader.found(address)

    for number in range(10, 40):
        _further(province, number)
    with CaptureQueriesContext(connection) as many:
        assert len(matches(reader.found(address))) == 33

    assert len(many) == len(few)
    assert len(many) <= 14


def _further(province: Province, number: int) -> None:
    study = archive.make_indexed_study(
        province.near if number % 2 else province.partner,
        f"{UID}.{number}",
        patient_id=f"N{number}" if number % 3 else "",
        patient_name="Li^Si",
        study_date=dt.date(2025, 5, 5),
    )
    Series.objects.create(study=study, series_instance_uid=f"{UID}.{number}.1")
