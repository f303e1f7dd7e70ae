"""Search Transaction (PS3.18 §10.6) and attribute matching (PS3.4 §C.2.2.2)."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.urls import set_script_prefix
from django.utils import timezone

from common.dicom.xml_model import read_native_xml
from sharing.dicomweb.rows import COPIES_TAG, PRIVATE_CREATOR
from sharing.models import Study
from sharing.services import linking
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive, dicom_files
from tests.support.patients import assigned

ROOT = "/dicom-web/"
NEAR = f"{ROOT}at/near/"


@pytest.fixture
def studies(province: Province) -> list[Any]:
    """Three studies of near with different everything, one of partner, one of far."""
    near, partner, far = province.near, province.partner, province.far
    found = [
        archive.make_indexed_study(
            near,
            "1.1",
            patient_id="P1",
            patient_name="Zhang^San=张^三",
            study_date=date(2026, 1, 10),
            study_time="083000.5",
            accession_number="A-100",
            modalities=["CT", "SR"],
            referring_physician_name="Li^Wei",
            study_description="Chest CT",
            dicom_study_id="S1",
            listed_instances=7,
        ),
        archive.make_indexed_study(
            near,
            "1.2",
            patient_id="P2",
            patient_name="Wang^Wu=王^五",
            study_date=date(2026, 2, 20),
            study_time="10",
            accession_number="A-200",
            modalities=["MR"],
        ),
        archive.make_indexed_study(near, "1.3", patient_name="OBrien^[x]"),
        archive.make_indexed_study(partner, "1.4", patient_id="P1", patient_name="Stranger"),
        archive.make_indexed_study(far, "1.5", patient_id="P1", patient_name="Hidden"),
    ]
    return [assigned(study) for study in found]


def uids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/dicom+json"
    return [row["0020000D"]["Value"][0] for row in answer.json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["1.2", "1.1", "1.3"]),
        ("StudyDate=20260110", ["1.1"]),
        ("00080020=20260101-20260131", ["1.1"]),
        ("StudyDate=20260111-", ["1.2"]),
        ("StudyDate=-20260110", ["1.1"]),
        ("StudyDate=2026.01.10", ["1.1"]),
        ("StudyTime=08-09", ["1.1"]),
        ("StudyTime=0830-0830", ["1.1"]),
        ("StudyTime=0831-", ["1.2"]),
        ("StudyTime=-10", ["1.2", "1.1"]),
        ("AccessionNumber=A-100", ["1.1"]),
        ("AccessionNumber=A-*", ["1.2", "1.1"]),
        ("AccessionNumber=?-2*", ["1.2"]),
        ("AccessionNumber=a-100", []),
        ("ModalitiesInStudy=CT", ["1.1"]),
        ("ModalitiesInStudy=CT,MR", ["1.2", "1.1"]),
        ("00080061=S*", ["1.1"]),
        ("ModalitiesInStudy=US", []),
        ("ReferringPhysicianName=li*", ["1.1"]),
        ("StudyDescription=*chest*", ["1.1"]),
        ("StudyID=S1", ["1.1"]),
        ("PatientID=P1", ["1.1"]),
        ("00100020=P*", ["1.2", "1.1"]),
        ("PatientID=", ["1.2", "1.1", "1.3"]),
        ("PatientID=*", ["1.2", "1.1", "1.3"]),
        ("PatientName=ZHANG%5ESAN", ["1.1"]),
        ("PatientName=Zhang*", ["1.1"]),
        ("00100010=" + quote("张三"), ["1.1"]),
        ("PatientName=" + quote("张*"), ["1.1"]),
        ("PatientName=" + quote("*三"), ["1.1"]),
        ("PatientName=zhangsan", ["1.1"]),
        ("PatientName=" + quote("OBrien^[x]"), ["1.3"]),
        ("PatientName=" + quote("OBrien^[xyz]"), []),
        ("PatientName=W?ng*", ["1.2"]),
        ("StudyInstanceUID=1.1,1.3", ["1.1", "1.3"]),
        ("StudyInstanceUID=1.1%5C1.3", ["1.1", "1.3"]),
        ("0020000D=1.1&0020000d=1.2", ["1.2", "1.1"]),
        ("StudyInstanceUID=1.5", []),
        ("PatientID=P1&ModalitiesInStudy=MR", []),
        ("fuzzymatching=true&PatientID=P1", ["1.1"]),
        ("includefield=all", ["1.2", "1.1", "1.3"]),
        ("includefield=00081030,00080060&includefield=PatientName", ["1.2", "1.1", "1.3"]),
    ],
)
def test_studies_match_their_keys(
    studies: list[Any], reader: Any, query: str, expected: list[str]
) -> None:
    answer = reader.get(f"{NEAR}studies?{query}")

    assert uids(answer) == expected
    assert "Warning" not in answer


@pytest.mark.parametrize(
    "query",
    [
        "StudyDate=yesterday",
        "StudyDate=20260230",
        "StudyDate=-",
        "StudyTime=99",
        "StudyInstanceUID=1.2.x",
        "limit=-1",
        "limit=many",
        "offset=1.5",
        "offset=99999999999999",
        "fuzzymatching=perhaps",
        "PatientName=a%00b",
        "PatientID=" + "9" * 5000,
    ],
)
def test_malformed_queries_are_refused_in_text(studies: list[Any], reader: Any, query: str) -> None:
    answer = reader.get(f"{ROOT}studies?{query}")

    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("text/plain")
    assert answer.content.strip()


def test_parameters_that_took_no_part_are_named_in_a_warning(
    studies: list[Any], reader: Any
) -> None:
    answer = reader.get(f"{NEAR}studies?Nonsense=1&SliceThickness=5&PatientID=P1")

    assert uids(answer) == ["1.1"]
    assert answer["Warning"].count("299 http://testserver/dicom-web/at/near") == 2
    assert "Nonsense" in answer["Warning"]
    assert "SliceThickness" in answer["Warning"]


def test_pages_are_a_stable_order_cut_and_the_cut_is_said(studies: list[Any], reader: Any) -> None:
    whole = uids(reader.get(f"{ROOT}studies"))

    pages = [reader.get(f"{ROOT}studies?limit=2&offset={start}") for start in (0, 2, 4)]

    assert [uid for page in pages for uid in uids(page)] == whole
    assert ["Warning" in page for page in pages] == [True, False, False]
    assert reader.get(f"{ROOT}studies?limit=0").json() == []


def test_a_study_is_described_as_the_hospital_wrote_it_at_its_own_root(
    studies: list[Any], reader: Any
) -> None:
    [row] = reader.get(f"{NEAR}studies?StudyInstanceUID=1.1").json()

    assert row["00100020"]["Value"] == ["P1"]
    assert row["00100010"]["Value"] == [{"Alphabetic": "Zhang^San", "Ideographic": "张^三"}]
    assert row["00080056"]["Value"] == ["NEARLINE"]
    assert row["00201208"]["Value"] == [7]
    assert row["00080061"]["Value"] == ["CT", "SR"]
    assert row["00080020"]["Value"] == ["20260110"]
    assert row["00081190"]["Value"] == ["http://testserver/dicom-web/at/near/studies/1.1"]
    assert "00101002" not in row
    assert list(row) == sorted(row)


def test_patients_of_different_hospitals_with_one_number_stay_apart_at_the_root(
    studies: list[Any], reader: Any
) -> None:
    rows = reader.get(f"{ROOT}studies?StudyInstanceUID=1.1,1.4").json()
    keys = {row["0020000D"]["Value"][0]: row["00100020"]["Value"][0] for row in rows}
    local = rows[0]["00101002"]["Value"][0]

    priors = {uid: uids(reader.get(f"{ROOT}studies?00100020={key}")) for uid, key in keys.items()}

    assert keys == {each.study_instance_uid: each.person.key for each in (studies[0], studies[3])}
    assert priors == {"1.1": ["1.1"], "1.4": ["1.4"]}
    assert uids(reader.get(f"{ROOT}studies?PatientID=near:P1")) == ["1.1"]
    assert local["00100020"]["Value"] == ["P1"]
    assert local["00100021"]["Value"] == ["near"]
    assert uids(reader.get(f"{ROOT}studies?PatientID=far:P1")) == []
    assert uids(reader.get(f"{ROOT}studies?PatientID=*near:P*")) == ["1.2", "1.1"]
    assert set(uids(reader.get(f"{ROOT}studies?PatientID=P1"))) == {"1.1", "1.4"}


def test_a_viewer_finds_the_studies_of_a_person_in_every_hospital_by_the_key(
    studies: list[Any], reader: Any
) -> None:
    first, *_, partners, hidden = studies
    for other in (partners, hidden):
        linking.link(
            actor="test", patient=other.local_patient, to_person=first.person, ground="review"
        )

    rows = reader.get(
        f"{ROOT}studies?PatientID={first.person.key}&IssuerOfPatientID=PROVINCE"
    ).json()

    assert {row["0020000D"]["Value"][0] for row in rows} == {"1.1", "1.4"}  # what may be seen of it
    assert {row["00100020"]["Value"][0] for row in rows} == {first.person.key}
    assert {row["00100021"]["Value"][0] for row in rows} == {"PROVINCE"}
    local = reader.get(f"{NEAR}studies?PatientID=P1").json()[0]
    assert (local["00100020"]["Value"], "00101002" in local) == (["P1"], False)
    assert reader.get(f"{NEAR}studies?PatientID={first.person.key}").json() == []


def test_a_key_that_was_joined_with_another_still_finds_the_person(
    studies: list[Any], reader: Any
) -> None:
    first, partners = studies[0], studies[3]
    former = partners.person.key
    linking.link(
        actor="test", patient=partners.local_patient, to_person=first.person, ground="review"
    )

    assert set(uids(reader.get(f"{ROOT}studies?PatientID={former}"))) == {"1.1", "1.4"}


def test_a_row_of_an_older_release_carries_institution_and_number(
    studies: list[Any], reader: Any
) -> None:
    Study.objects.update(local_patient=None, person=None)

    (row,) = reader.get(f"{ROOT}studies?StudyInstanceUID=1.1").json()

    assert row["00100020"]["Value"] == ["near:P1"]


def test_a_patient_without_a_number_has_a_key_and_no_other_number(
    studies: list[Any], reader: Any
) -> None:
    (row,) = reader.get(f"{ROOT}studies?StudyInstanceUID=1.3").json()

    assert row["00100020"]["Value"] == [studies[2].person.key]
    assert "00101002" not in row


def test_a_study_of_several_hospitals_is_answered_once_and_names_the_others(
    province: Province, reader: Any
) -> None:
    now = timezone.now()
    archive.make_indexed_study(province.near, "1.1", accession_number="N", archived_at=None)
    archive.make_indexed_study(province.partner, "1.1", accession_number="P", archived_at=now)
    archive.make_indexed_study(
        province.far, "1.1", accession_number="F", archived_at=now - timedelta(days=1)
    )

    [primary] = reader.get(f"{ROOT}studies").json()
    [other] = reader.get(f"{ROOT}studies?AccessionNumber=N").json()

    assert primary["00080050"]["Value"] == ["P"]
    assert primary["00090010"]["Value"] == [PRIVATE_CREATOR]
    assert primary[COPIES_TAG]["Value"] == ["partner", "near"]
    assert primary["00081190"]["Value"] == ["http://testserver/dicom-web/studies/1.1"]
    assert other["00081190"]["Value"] == ["http://testserver/dicom-web/at/near/studies/1.1"]
    assert uids(reader.get(f"{ROOT}studies?AccessionNumber=F")) == []


@pytest.fixture
def archived(province: Province, tmp_path: Path) -> list[archive.Stored]:
    names = [row for row in dicom_files.rows("instance") if row.name.startswith("highdicom/")]
    return archive.archive_files(province.near, [row.path for row in names], tmp_path=tmp_path)


def test_a_study_of_unknown_modality_says_nothing_of_it(province: Province, reader: Any) -> None:
    archive.make_indexed_study(province.near, "1.2.3.4", modalities=[])

    (row,) = reader.get("/dicom-web/studies?StudyInstanceUID=1.2.3.4").json()

    assert "00080061" not in row


def test_counts_of_search_results_are_those_of_the_archive(
    archived: list[archive.Stored], reader: Any
) -> None:
    per_study: dict[str, set[str]] = {}
    for each in archived:
        per_study.setdefault(each.header.study_instance_uid, set()).add(
            each.header.sop_instance_uid
        )

    for row in reader.get(f"{ROOT}studies").json():
        uid = row["0020000D"]["Value"][0]
        series = reader.get(f"{ROOT}studies/{uid}/series").json()
        instances = reader.get(f"{ROOT}studies/{uid}/instances").json()
        assert row["00080056"]["Value"] == ["ONLINE"]
        assert row["00201206"]["Value"] == [len(series)]
        assert row["00201208"]["Value"] == [len(instances)] == [len(per_study.pop(uid))]
        assert sum(each["00201209"]["Value"][0] for each in series) == len(instances)
    assert not per_study


def test_series_match_their_keys_within_a_study_and_over_all(
    archived: list[archive.Stored], reader: Any
) -> None:
    header = archived[0].header
    modality = header.attributes["00080060"]["Value"][0]
    base = f"{ROOT}studies/{header.study_instance_uid}/series"

    everywhere = reader.get(f"{ROOT}series").json()
    of_modality = reader.get(f"{ROOT}series?Modality={modality}").json()
    by_uid = reader.get(f"{base}?SeriesInstanceUID={header.series_instance_uid}").json()

    series_uids = {each.header.series_instance_uid for each in archived}
    assert {row["0020000E"]["Value"][0] for row in everywhere} == series_uids
    assert of_modality
    assert all(row["00080060"]["Value"] == [modality] for row in of_modality)
    assert len(by_uid) == 1
    assert by_uid[0]["00081190"]["Value"] == [
        f"http://testserver{base}/{header.series_instance_uid}"
    ]
    assert reader.get(f"{base}?SeriesNumber=x").status_code == 400
    assert reader.get(f"{base}?Modality=NONE").json() == []


def test_instances_are_found_in_the_documents(archived: list[archive.Stored], reader: Any) -> None:
    one = archived[0]
    base = f"{ROOT}{one.url.rpartition('/')[0]}"

    [row] = reader.get(f"{base}?SOPInstanceUID={one.header.sop_instance_uid}").json()
    rich = reader.get(f"{base}?00080018={one.header.sop_instance_uid}&includefield=all").json()[0]
    none = reader.get(f"{base}?SOPInstanceUID=1.2.3").json()

    assert row["00081190"]["Value"] == [f"http://testserver{ROOT}{one.url}"]
    assert row["00083002"]["Value"] == [one.header.transfer_syntax_uid]
    assert reader.get(row["00081190"]["Value"][0]).status_code == 200
    assert set(row) - {"00080005", "00080056", "00081190", "00083002"} < set(rich)
    assert none == []


def test_searches_answer_in_json_or_in_xml_parts(studies: list[Any], reader: Any) -> None:
    xml = {"accept": 'multipart/related; type="application/dicom+xml"'}

    plain = reader.get(f"{ROOT}studies", headers={"accept": "application/json"})
    anything = reader.get(f"{ROOT}studies", headers={"accept": "text/html, */*;q=0.1"})
    other = reader.get(f"{ROOT}studies", headers={"accept": "text/html"})
    parts = reader.get(f"{ROOT}studies", headers=xml)
    none = reader.get(f"{ROOT}studies?PatientID=nobody", headers=xml)

    assert plain["Content-Type"] == "application/json"
    assert anything["Content-Type"] == "application/dicom+json"
    assert other.status_code == 406
    assert parts["Content-Type"].startswith(
        'multipart/related; type="application/dicom+xml"; boundary='
    )
    boundary = parts["Content-Type"].rpartition("boundary=")[2].encode()
    documents = [
        part.partition(b"\r\n\r\n")[2] for part in parts.content.split(b"--" + boundary)[1:-1]
    ]
    assert [read_native_xml(each) for each in documents] == reader.get(f"{ROOT}studies").json()
    assert (none.status_code, none.content) == (204, b"")


def test_addresses_are_right_behind_a_prefix_and_another_host(
    studies: list[Any], reader: Any, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["imaging.example"]
    set_script_prefix("/cloud/")  # what the WSGI handler does with SCRIPT_NAME
    answer = reader.get(
        "/dicom-web/studies?StudyInstanceUID=1.1",
        headers={"host": "imaging.example:8443"},
        secure=True,
    )
    set_script_prefix("/")

    [row] = answer.json()
    assert row["00081190"]["Value"] == ["https://imaging.example:8443/cloud/dicom-web/studies/1.1"]


def test_a_page_of_studies_costs_few_queries(
    studies: list[Any], reader: Any, django_assert_max_num_queries: Any
) -> None:
    reader.get(f"{ROOT}studies")

    with django_assert_max_num_queries(4):  # session, account, studies, copies
        reader.get(f"{ROOT}studies")
