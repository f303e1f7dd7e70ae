"""One suite over every kind of origin: a folder, our plain origin server, and a real Orthanc."""

import datetime as dt
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.dicomweb.client import DicomwebOrigin, OriginConfig
from common.dicomweb.errors import OriginNotFound
from common.dicomweb.folder import FolderOrigin
from common.dicomweb.origin import Origin, first_value
from tests.support.dicom_files import Row, rows
from tests.support.services import new_orthanc
from tools.origin.serve import OriginServer

FOLDERS = (
    "dcm_qa_ct/",
    "cornerstone/",
    "dcm_qa_ts/",
    "dcm_qa_enh/",
    "highdicom/",
    "pydicom/charset/",
)


@pytest.fixture(scope="module")
def held() -> list[Row]:
    """Instances of many transfer syntaxes, character sets and kinds, each SOP Instance UID once."""
    found = [row for row in rows("instance") if row.name.startswith(FOLDERS)]
    return [
        row
        for row in found
        if row.fields["study_instance_uid"] and row.fields["series_instance_uid"]
    ]


@pytest.fixture(scope="module")
def folder(held: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    for number, row in enumerate(held):
        shutil.copyfile(row.path, folder / f"{number}.dcm")
    return folder


def _folder(folder: Path) -> Iterator[Origin]:
    yield FolderOrigin(folder, settle_s=0)


def _served(folder: Path) -> Iterator[Origin]:
    server = OriginServer(folder, auth="user:password").start()
    secret = {"username": "user", "password": "password"}
    origin = DicomwebOrigin(
        OriginConfig(server.url, auth="basic", secret=secret, allow_loopback=True)
    )
    yield origin
    origin.close()
    server.stop()


@pytest.fixture(params=["folder", "served", pytest.param("orthanc", marks=pytest.mark.orthanc)])
def origin(request: pytest.FixtureRequest, folder: Path) -> Iterator[Origin]:
    if request.param == "orthanc":
        yield request.getfixturevalue("loaded_orthanc")
    else:
        yield from (_folder if request.param == "folder" else _served)(folder)


@pytest.fixture(scope="module")
def loaded_orthanc(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DicomwebOrigin]:
    server = new_orthanc(tmp_path_factory.mktemp("orthanc"))
    server.start()
    server.load(*sorted(folder.iterdir()))
    origin = DicomwebOrigin(OriginConfig(server.dicomweb_url, allow_loopback=True))
    yield origin
    origin.close()
    server.stop()


def every_study(origin: Origin, **window: dt.date | None) -> list[dict]:
    asked = {"since": None, "until": None} | window
    found: list[dict] = []
    offset = 0
    while not (page := origin.search_studies(**asked, limit=5, offset=offset)).is_last:
        found += page
        offset += page.received
    return found


def test_every_study_is_found_once_page_by_page(origin, held):
    found = [first_value(study, "0020000D") for study in every_study(origin)]

    assert sorted(found) == sorted({row.fields["study_instance_uid"] for row in held})


def test_counts_are_those_of_what_is_held(origin, held):
    for study in every_study(origin):
        uid = first_value(study, "0020000D")
        mine = [row for row in held if row.fields["study_instance_uid"] == uid]
        assert int(first_value(study, "00201208")) == len(mine)
        assert int(first_value(study, "00201206")) == len(
            {row.fields["series_instance_uid"] for row in mine}
        )


def test_every_instance_is_listed_and_arrives_byte_for_byte(origin, held):
    listed, arrived = [], []
    for study in every_study(origin):
        uid = first_value(study, "0020000D")
        for series in origin.search_series(study_instance_uid=uid):
            key = {
                "study_instance_uid": uid,
                "series_instance_uid": first_value(series, "0020000E"),
            }
            listed += [first_value(one, "00080018") for one in origin.search_instances(**key)]
            with origin.retrieve_series(**key) as parts:
                arrived += [hashlib.sha256(b"".join(part.chunks())).hexdigest() for part in parts]

    assert sorted(listed) == sorted(row.sop_instance_uid for row in held)
    assert sorted(arrived) == sorted(row.sha256 for row in held)


def test_one_instance_arrives_alone(origin, held):
    row = held[3]
    with origin.retrieve_instance(
        study_instance_uid=row.fields["study_instance_uid"],
        series_instance_uid=row.fields["series_instance_uid"],
        sop_instance_uid=row.sop_instance_uid,
    ) as parts:
        (data,) = [b"".join(part.chunks()) for part in parts]

    assert hashlib.sha256(data).hexdigest() == row.sha256


def test_a_window_holds_its_own_days_and_no_others(origin):
    everything = every_study(origin)
    window = every_study(origin, since=dt.date(2004, 1, 1), until=dt.date(2010, 12, 31))

    inside = [
        first_value(study, "0020000D")
        for study in everything
        if "2004" <= str(first_value(study, "00080020") or "")[:4] <= "2010"
    ]
    dated = [first_value(one, "0020000D") for one in window if first_value(one, "00080020")]
    assert inside
    assert sorted(dated) == sorted(inside)


def test_a_study_is_found_by_its_uid(origin, held):
    uid = held[0].fields["study_instance_uid"]

    page = origin.search_studies(since=None, until=None, study_instance_uid=uid, limit=10, offset=0)

    assert [first_value(study, "0020000D") for study in page] == [uid]


def test_what_is_not_there_is_not_found(origin):
    asked = origin.search_studies(
        since=None, until=None, study_instance_uid="1.2.3", limit=10, offset=0
    )
    assert list(asked) == []
    assert origin.search_series(study_instance_uid="1.2.3") == []
    assert origin.search_instances(study_instance_uid="1.2.3", series_instance_uid="1.2") == []
    with pytest.raises(OriginNotFound):
        _first_part(origin)


def _first_part(origin: Origin) -> object:
    with origin.retrieve_series(study_instance_uid="1.2.3", series_instance_uid="1.2") as parts:
        return next(parts, None)
