"""Search at every level: keys, attributes, order, copies, and what is too broad (PS3.18 §10.6)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone

from sharing.dicomweb import instances, query, searching
from sharing.dicomweb.rows import COPIES_TAG
from sharing.domain import facts
from sharing.models import Series, Study
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive, dicom_files

ROOT = "/dicom-web/"
NEAR = f"{ROOT}at/near/"


def make_series(study: Study, uid: str, **values: Any) -> Series:
    return Series.objects.create(study=study, series_instance_uid=uid, **values)


def uids(answer: Any, tag: str = "0020000E") -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row[tag]["Value"][0] for row in answer.json()]


@pytest.fixture
def series(province: Province) -> list[Series]:
    first = archive.make_indexed_study(
        province.near,
        "1.1",
        patient_id="P1",
        patient_name="Zhang^San",
        study_date=date(2026, 1, 10),
    )
    second = archive.make_indexed_study(
        province.near, "1.2", patient_id="P2", study_date=date(2026, 2, 10)
    )
    hidden = archive.make_indexed_study(province.far, "1.3", patient_id="P1")
    return [
        make_series(
            first,
            "1.1.1",
            modality="CT",
            series_number=2,
            series_description="Chest 1.0",
            body_part_examined="CHEST",
            series_date=date(2026, 1, 10),
            series_time="101500",
            performed_date=date(2026, 1, 9),
            performed_time="235959.5",
            request_attributes=[
                {"00400009": "S1", "00401001": "R1"},
                {"00400009": "S2", "00401001": "R2"},
            ],
            more={"00080070": ["UIH"], "00080201": ["+0800"]},
        ),
        make_series(first, "1.1.2", modality="SR", series_number=10),
        make_series(
            second, "1.2.1", modality="MR", series_number=1,
            request_attributes=[{"00400009": "S1", "00401001": "R2"}],
        ),
        make_series(hidden, "1.3.1", modality="CT", series_number=2),
    ]  # fmt: skip


@pytest.mark.parametrize("root", [ROOT, NEAR])
@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("", ["1.2.1", "1.1.1", "1.1.2"]),
        ("Modality=CT", ["1.1.1"]),
        ("00080060=CT%5CMR", ["1.2.1", "1.1.1"]),
        ("Modality=?R", ["1.2.1", "1.1.2"]),
        ("SeriesInstanceUID=1.1.2,1.2.1", ["1.2.1", "1.1.2"]),
        ("SeriesInstanceUID=1.3.1", []),
        ("SeriesNumber=2", ["1.1.1"]),
        ("SeriesNumber=1%5C10", ["1.2.1", "1.1.2"]),
        ("SeriesDescription=*chest*", ["1.1.1"]),
        ("BodyPartExamined=chest", ["1.1.1"]),
        ("SeriesDate=20260110-", ["1.1.1"]),
        ("SeriesTime=10-11", ["1.1.1"]),
        ("PerformedProcedureStepStartDate=20260109", ["1.1.1"]),
        ("00400244=20260110-", []),
        ("PerformedProcedureStepStartTime=2359-", ["1.1.1"]),
        ("00400245=-12", []),
        ("RequestAttributesSequence.ScheduledProcedureStepID=S1", ["1.2.1", "1.1.1"]),
        ("00400275.00400009=S2", ["1.1.1"]),
        ("00400275.RequestedProcedureID=R2", ["1.2.1", "1.1.1"]),
        ("RequestAttributesSequence.00401001=R*", ["1.2.1", "1.1.1"]),
        ("00400275.00400009=S1&00400275.00401001=R2", ["1.2.1"]),
        ("00400275.00400009=S?&00400275.00401001=R1", ["1.1.1"]),
        ("00400275.00400009=S2%5CS9", ["1.1.1"]),
        ("00400275.00400009=*", ["1.2.1", "1.1.1", "1.1.2"]),
        ("00400275.00400009=" + quote("S1\"}]"), []),
        ("PatientID=P1", ["1.1.1", "1.1.2"]),
        ("PatientName=zhang*&Modality=SR", ["1.1.2"]),
        ("StudyDate=20260201-20260228", ["1.2.1"]),
        ("StudyInstanceUID=1.1&SeriesNumber=10", ["1.1.2"]),
    ],
)  # fmt: skip
def test_series_match_the_keys_of_both_levels(
    series: list[Series], reader: Any, root: str, search: str, expected: list[str]
) -> None:
    answer = reader.get(f"{root}series?{search}")

    assert uids(answer) == expected
    assert "Warning" not in answer


def test_series_within_a_study_match_their_keys_too(series: list[Series], reader: Any) -> None:
    base = f"{ROOT}studies/1.1/series"

    assert uids(reader.get(base)) == ["1.1.1", "1.1.2"]
    assert uids(reader.get(f"{base}?00400275.00400009=S2")) == ["1.1.1"]
    assert uids(reader.get(f"{base}?PatientID=P2")) == []
    assert reader.get(f"{ROOT}studies/1.3/series").status_code == 404


def test_a_series_has_the_attributes_of_the_standards_table(
    series: list[Series], reader: Any
) -> None:
    [row] = reader.get(f"{ROOT}series?SeriesInstanceUID=1.1.1").json()
    [rich] = reader.get(f"{ROOT}studies/1.1/series?Modality=CT&includefield=Manufacturer").json()

    assert row["00400244"] == {"vr": "DA", "Value": ["20260109"]}
    assert row["00400245"] == {"vr": "TM", "Value": ["235959.5"]}
    assert row["00080201"] == {"vr": "SH", "Value": ["+0800"]}
    assert [item["00400009"]["Value"] for item in row["00400275"]["Value"]] == [["S1"], ["S2"]]
    assert row["00100020"]["Value"] == [series[0].study.person.key]
    assert row["00081190"]["Value"] == ["http://testserver/dicom-web/studies/1.1/series/1.1.1"]
    assert "00080070" not in row
    assert rich["00080070"] == {"vr": "LO", "Value": ["UIH"]}
    assert "00100020" not in rich
    assert list(row) == sorted(row)


def test_a_series_of_several_hospitals_is_answered_once_and_names_the_others(
    province: Province, reader: Any
) -> None:
    now = timezone.now()
    for place, archived_at, uids_of_series in [
        (province.near, now, ["1.1.1", "1.1.2"]),
        (province.partner, now - timedelta(days=1), ["1.1.1"]),
        (province.far, now - timedelta(days=2), ["1.1.1"]),
    ]:
        study = archive.make_indexed_study(place, "1.1", archived_at=archived_at)
        for uid in uids_of_series:
            make_series(study, uid, modality="CT", series_number=int(uid[-1]))

    both, only_near = reader.get(f"{ROOT}series").json()

    assert both[COPIES_TAG]["Value"] == ["partner", "near"]
    assert both["00081190"]["Value"] == ["http://testserver/dicom-web/studies/1.1/series/1.1.1"]
    assert only_near["00081190"]["Value"] == [
        "http://testserver/dicom-web/at/near/studies/1.1/series/1.1.2"
    ]
    assert uids(reader.get(f"{NEAR}series")) == ["1.1.1", "1.1.2"]


@pytest.mark.parametrize("path", ["studies", "series"])
def test_pages_of_every_size_make_up_the_whole_without_overlap(
    province: Province, reader: Any, path: str
) -> None:
    for number in range(23):
        place = province.near if number % 3 else province.partner
        day = None if number % 5 == 0 else date(2026, 1, 1 + number // 4)
        study = archive.make_indexed_study(place, f"1.{number + 1}", study_date=day)
        make_series(study, f"1.{number + 1}.1", series_number=number % 2 or None)
    tag = "0020000D" if path == "studies" else "0020000E"
    whole = uids(reader.get(f"{ROOT}{path}"), tag)

    for size in (1, 4, 22):
        pages = [
            uids(reader.get(f"{ROOT}{path}?limit={size}&offset={start}"), tag)
            for start in range(0, 23, size)
        ]
        assert [uid for page in pages for uid in page] == whole
    assert len(set(whole)) == 23


def test_everything_is_refused_where_it_is_more_than_an_answer(
    series: list[Series], reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "MAX_RESULTS", 1)

    for path in ("studies", "series"):
        refused = reader.get(f"{ROOT}{path}")
        assert refused.status_code == 413
        assert refused["Content-Type"].startswith("text/plain")
        assert "StudyDate" in refused.content.decode()
        assert reader.get(f"{ROOT}{path}?limit=1").status_code == 200
        assert reader.get(f"{ROOT}{path}?PatientID=P*").status_code == 200
    assert reader.get(f"{ROOT}studies?limit=5&offset=100001").status_code == 413
    assert reader.get(f"{ROOT}studies?limit=5&offset=100000").json() == []


@pytest.fixture
def archived(province: Province, tmp_path: Any) -> list[archive.Stored]:
    names = [row for row in dicom_files.rows("instance") if row.name.startswith("highdicom/")]
    return archive.archive_files(province.near, [row.path for row in names], tmp_path=tmp_path)


@pytest.mark.parametrize("root", [ROOT, NEAR])
def test_instances_are_found_over_everything_with_the_attributes_of_all_levels(
    archived: list[archive.Stored], reader: Any, root: str
) -> None:
    rows = reader.get(f"{root}instances").json()
    uid = archived[0].header.sop_instance_uid
    [one] = reader.get(f"{root}instances?SOPInstanceUID={uid}").json()

    assert {row["00080018"]["Value"][0] for row in rows} == {
        each.header.sop_instance_uid for each in archived
    }
    assert {"00080020", "00100020", "00201208", "00080060", "00201209", "00400275"} <= set(one)
    assert reader.get(one["00081190"]["Value"][0]).status_code == 200
    key = archived[0].study.person.key
    assert (one["00100020"].get("Value") == [key]) is (root == ROOT)


def test_instances_match_any_attribute_of_their_headers(
    archived: list[archive.Stored], reader: Any
) -> None:
    everything = reader.get(f"{ROOT}instances?includefield=all").json()
    header = next(row for row in everything if "00280010" in row and "00080023" in row)
    asked = {
        "SOPClassUID": header["00080016"]["Value"][0],
        "Rows": header["00280010"]["Value"][0],
        "ContentDate": f"-{header['00080023']['Value'][0]}",
        "InstanceNumber": header["00200013"]["Value"][0],
        "StudyInstanceUID": header["0020000D"]["Value"][0],
        "Manufacturer": f"{header['00080070']['Value'][0][:2]}*"
        if header["00080070"].get("Value")
        else "",
    }
    for name, value in asked.items():
        found = reader.get(f"{ROOT}instances?{name}={quote(str(value))}").json()
        assert header["00080018"] in [row["00080018"] for row in found], name
    assert reader.get(f"{ROOT}instances?Rows=99999").json() == []
    assert reader.get(f"{ROOT}instances?Rows=many").status_code == 400
    assert reader.get(f"{ROOT}instances?ContentDate=soon").status_code == 400


def test_pages_of_instances_make_up_the_whole(archived: list[archive.Stored], reader: Any) -> None:
    whole = uids(reader.get(f"{ROOT}instances"), "00080018")

    pages = [
        reader.get(f"{ROOT}instances?limit=3&offset={start}") for start in range(0, len(whole), 3)
    ]

    assert [uid for page in pages for uid in uids(page, "00080018")] == whole
    assert ["Warning" in page for page in pages] == [True] * (len(pages) - 1) + [False]


def test_instances_of_too_many_series_are_refused_with_the_keys_that_narrow(
    archived: list[archive.Stored], reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "MOST_SERIES", 2)

    refused = reader.get(f"{ROOT}instances?InstanceNumber=1")
    narrowed = reader.get(
        f"{ROOT}instances?InstanceNumber=1&SeriesInstanceUID={archived[0].header.series_instance_uid}"
    )
    first = reader.get(f"{ROOT}instances?limit=1")

    assert refused.status_code == 413
    assert "SeriesInstanceUID" in refused.content.decode()
    assert narrowed.status_code == 200
    assert len(first.json()) == 1


def test_at_the_common_root_a_whole_header_has_the_provinces_number(
    archived: list[archive.Stored], reader: Any
) -> None:
    one = next(each for each in archived if each.study.patient_id)
    path = one.url.rpartition("/")[0]

    [row, *_] = reader.get(f"{ROOT}{path}?includefield=all").json()
    [local, *_] = reader.get(f"{NEAR}{path}?includefield=PatientID").json()

    assert row["00100020"]["Value"] == [one.study.person.key]
    assert local["00100020"]["Value"] == [one.study.patient_id]


@pytest.mark.parametrize(
    "path", ["studies", "series", "instances", "studies/1.1/series", "studies/1.1/instances"]
)
def test_strangers_and_people_without_a_role_find_nothing(
    series: list[Series], province: Province, client: Any, path: str
) -> None:
    assert client.get(f"{ROOT}{path}").status_code == 401
    client.force_login(province.stranger)
    answer = client.get(f"{ROOT}{path}")

    if path.startswith("studies/"):
        assert answer.status_code == 404
    else:
        assert answer.json() == []
    assert client.get(f"{ROOT}at/near/studies").json() == []


def test_another_hospitals_root_shows_only_what_one_may_see(
    series: list[Series], reader: Any
) -> None:
    assert reader.get(f"{ROOT}at/far/studies").json() == []
    assert reader.get(f"{ROOT}at/nowhere/series").json() == []


@pytest.mark.parametrize("sights", [0, 100])
def test_every_way_through_the_index_finds_the_same(
    province: Province, reader: Any, monkeypatch: pytest.MonkeyPatch, sights: int
) -> None:
    """Merged or walked, probed or gathered: the order and the rows are those of the plain question."""
    monkeypatch.setattr(searching, "_ONE_BY_ONE", sights)
    for number in range(30):
        place = province.near if number % 2 else province.partner
        archive.make_indexed_study(
            place, f"1.{number + 1}", patient_id=f"P{number % 7}", study_date=date(2026, 1, 1 + number % 9),
            patient_name=["Zhang^San=张^三", "Li^Si=李^四"][number % 2], modalities=[["CT"], ["MR"]][number // 15],
        )  # fmt: skip
    every = reader.get(f"{ROOT}studies").json()

    def expect(tag: str, *values: str) -> list[str]:
        return [
            row["0020000D"]["Value"][0] for row in every
            if set(map(str, row[tag].get("Value", []))) & set(values)
        ]  # fmt: skip

    asked = {
        "ModalitiesInStudy=CT": expect("00080061", "CT"),
        "PatientID=*P3": [
            row["0020000D"]["Value"][0] for row in every
            if row["00101002"]["Value"][0]["00100020"]["Value"] == ["P3"]
        ],
        "StudyDate=20260103": expect("00080020", "20260103"),
        "PatientName=zhang*": [
            row["0020000D"]["Value"][0] for row in every
            if row["00100010"]["Value"][0]["Alphabetic"] == "Zhang^San"
        ],
    }  # fmt: skip
    for walked in (0, 1, 1000):
        monkeypatch.setattr(searching, "_to_walk", lambda *_, walked=walked: walked)
        for search, expected in asked.items():
            for start in (0, 3):
                page = reader.get(f"{ROOT}studies?{search}&limit=3&offset={start}")
                assert uids(page, "0020000D") == expected[start : start + 3], (search, walked)


def test_a_second_copy_marks_both_rows_and_writing_a_row_back_does_not_unmark_it(
    province: Province,
) -> None:
    first = archive.make_indexed_study(province.near, "1.1")
    stale = Study.objects.get(pk=first.pk)

    second = archive.make_indexed_study(province.partner, "1.1")
    stale.save()

    assert not stale.shared
    assert Study.objects.get(pk=first.pk).shared
    assert Study.objects.get(pk=second.pk).shared
    assert not archive.make_indexed_study(province.near, "1.2").shared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT", {"ct"}),
        ("胸部", {"胸", "部", "胸部"}),
        ("a1胸", {"a1", "1胸", "胸"}),
        ("abcd", {"ab", "bc", "cd", "abc", "bcd"}),
        ("", set()),
    ],
)
def test_the_parts_of_a_text_are_pairs_three_ascii_characters_and_single_han(
    db: None, text: str, expected: set[str]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sharing_grams(%s)", [text])
        [grams] = cursor.fetchone()

    assert set(grams) == expected


def test_the_index_keeps_what_the_standard_lets_one_ask_for() -> None:
    item = {"00400009": {"vr": "SH", "Value": ["S1"]}, "00401001": {"vr": "SH"}}
    header = {
        "00400244": {"vr": "DA", "Value": ["20260109"]},
        "00400245": {"vr": "TM", "Value": ["101500"]},
        "00400275": {"vr": "SQ", "Value": [item, {}, "not an item"]},
        "00080201": {"vr": "SH", "Value": ["+0800"]},
        "00101010": {"vr": "AS", "Value": ["056Y"]},
        "00101060": {"vr": "PN", "Value": [{"Alphabetic": "Mother"}]},
    }

    series = facts.series_facts(header)

    assert (series.performed_date, series.performed_time) == (date(2026, 1, 9), "101500")
    assert series.request_attributes == [{"00400009": "S1"}]
    assert series.more == {"00080201": ["+0800"]}
    assert facts.study_facts(header).more == {"00080201": ["+0800"], "00101010": ["056Y"]}
