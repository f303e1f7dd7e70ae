"""What a reader measured on another hospital's study lies in the reader's own institution and comes back with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from common.errors import NotFound
from sharing import permissions, selectors
from sharing.errors import NotPulledYet
from tests.support import archive
from tests.support.dicom_files import row

pytestmark = pytest.mark.django_db

PICTURE = "pydicom/test_files/ct_small.dcm"
REPORT = (
    "highdicom/sr_document_with_multiple_groups.dcm"  # on the same study, in a series of its own
)
SEGMENTS = "highdicom/seg_image_ct_binary_single_frame.dcm"
STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"


@pytest.fixture
def hospitals(settings: Any, tmp_path: Path) -> dict[str, Any]:
    """``theirs`` made the pictures, the reader works at ``own``; ``stranger`` is in no consortium."""
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    permissions.forget_sights()
    selectors.forget_places()
    consortium = archive.make_consortium("c")
    return {
        "theirs": archive.make_institution("theirs", consortium=consortium),
        "own": archive.make_institution("own", consortium=consortium),
        "stranger": archive.make_institution("stranger"),
    }


@pytest.fixture
def reader(hospitals: dict[str, Any]) -> Any:
    return archive.make_user("reader", "radiologist", hospitals["own"])


@pytest.fixture
def stored(hospitals: dict[str, Any], tmp_path: Path) -> dict[str, str]:
    """The report lies in the reader's institution, and its series UID is given."""
    archive.archive_files(hospitals["own"], [row(REPORT).path], tmp_path=tmp_path)
    archive.archive_files(hospitals["theirs"], [row(PICTURE).path], tmp_path=tmp_path)
    archive.archive_files(hospitals["stranger"], [row(SEGMENTS).path], tmp_path=tmp_path)
    return {name: row(name).fields["series_instance_uid"] for name in (PICTURE, REPORT, SEGMENTS)}


def place_of(reader: Any, code: str = "") -> Any:
    return selectors.place_study(actor=reader, study_instance_uid=STUDY, institution_code=code)


def found_series(reader: Any, code: str = "") -> set[str]:
    found = selectors.series_of_study(
        actor=reader, place=place_of(reader, code), institution_code=code
    )
    return {each.series_instance_uid for each in found}


def test_the_copy_with_the_pictures_is_the_primary_one_though_it_was_archived_later(
    reader: Any, stored: dict[str, str]
) -> None:
    assert place_of(reader).institution_code == "theirs"
    assert selectors.copies_of(reader, [STUDY]) == {STUDY: ["theirs", "own"]}


def test_a_report_of_ones_own_institution_is_a_series_of_the_study(
    reader: Any, stored: dict[str, str]
) -> None:
    derived = selectors.list_derived_places(actor=reader, place=place_of(reader))

    assert found_series(reader) == {stored[PICTURE], stored[REPORT]}
    assert [each.series_instance_uid for each in derived] == [stored[REPORT]]
    assert derived[0].study.institution_code == "own"
    assert derived[0].study.basis == permissions.Basis.OWN_INSTITUTION


def test_it_is_read_where_it_lies(reader: Any, stored: dict[str, str]) -> None:
    place = selectors.place_series(
        actor=reader, study_instance_uid=STUDY, series_instance_uid=stored[REPORT]
    )

    assert place.study.institution_code == "own"
    assert place.prefix.startswith("archive/own/") or "/own/" in place.prefix


def test_under_the_root_of_an_institution_each_shows_what_it_holds(
    reader: Any, stored: dict[str, str]
) -> None:
    assert found_series(reader, "theirs") == {stored[PICTURE]}
    assert found_series(reader, "own") == {stored[REPORT]}
    with pytest.raises(NotFound):
        selectors.place_series(
            actor=reader,
            study_instance_uid=STUDY,
            series_instance_uid=stored[REPORT],
            institution_code="theirs",
        )


def test_what_lies_where_one_may_not_look_stays_hidden(reader: Any, stored: dict[str, str]) -> None:
    assert stored[SEGMENTS] not in found_series(reader)
    with pytest.raises(NotFound):
        selectors.place_series(
            actor=reader, study_instance_uid=STUDY, series_instance_uid=stored[SEGMENTS]
        )


def test_pictures_of_another_copy_are_not_mixed_in(
    hospitals: dict[str, Any], reader: Any, tmp_path: Path
) -> None:
    archive.archive_files(hospitals["theirs"], [row(PICTURE).path], tmp_path=tmp_path)
    archive.archive_files(
        hospitals["own"],
        [row("pydicom-data/parametric_map_float.dcm").path, row(REPORT).path],
        tmp_path=tmp_path,
    )

    assert len(found_series(reader)) == 2


def test_a_report_on_a_study_that_is_only_listed_does_not_stand_for_the_study(
    hospitals: dict[str, Any], reader: Any, tmp_path: Path
) -> None:
    archive.make_indexed_study(hospitals["theirs"], STUDY)
    archive.archive_files(hospitals["own"], [row(REPORT).path], tmp_path=tmp_path)

    assert place_of(reader).institution_code == "theirs"
    with pytest.raises(NotPulledYet):
        selectors.place_series(
            actor=reader, study_instance_uid=STUDY, series_instance_uid="1.2.3.4"
        )


def asked(reader: Any, address: str) -> Any:
    client = Client()
    client.force_login(reader)
    answer = client.get(f"/dicom-web/{address}", headers={"Accept": "application/dicom+json"})
    assert answer.status_code == 200, answer.content
    data = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return json.loads(data)


def uids(rows: Any, tag: str = "0020000E") -> set[str]:
    return {each[tag]["Value"][0] for each in rows}


def test_searches_at_the_common_root_find_it_with_the_study(
    reader: Any, stored: dict[str, str]
) -> None:
    both = {stored[PICTURE], stored[REPORT]}
    here = f"studies/{STUDY}"

    series = asked(reader, f"{here}/series")
    (study,) = asked(reader, f"studies?StudyInstanceUID={STUDY}")

    assert uids(series) == both
    for each in series:
        assert each["00081190"]["Value"][0].startswith(
            f"http://testserver/dicom-web/{here}/series/"
        )
    assert uids(asked(reader, f"{here}/instances")) == both
    assert uids(asked(reader, f"{here}/series/{stored[REPORT]}/instances")) == {stored[REPORT]}
    assert uids(asked(reader, f"{here}/metadata")) == both
    assert uids(asked(reader, f"{here}/series/{stored[REPORT]}/metadata")) == {stored[REPORT]}
    assert study["00080080"]["Value"] == ["医院 theirs"]


def test_searches_within_one_institution_find_what_it_holds(
    reader: Any, stored: dict[str, str]
) -> None:
    for code, held in (("theirs", PICTURE), ("own", REPORT)):
        assert uids(asked(reader, f"at/{code}/studies/{STUDY}/series")) == {stored[held]}
