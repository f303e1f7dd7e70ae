"""A client that nobody here wrote reads the archive back over the wire."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_retrieve import ROWS, body_of
from tests.support import archive, dicom_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def archived(province: Province, tmp_path: Path) -> list[archive.Stored]:
    return archive.archive_files(province.near, [row.path for row in ROWS], tmp_path=tmp_path)


def test_dicomweb_client_reads_every_instance_back(
    archived: list[archive.Stored], live_server: Any, token: str
) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    root = f"{live_server.url}/dicom-web"
    client = DICOMwebClient(root, session=session)
    found = {}
    for study in client.search_for_studies():
        uid = study["0020000D"]["Value"][0]
        for instance in client.search_for_instances(uid):
            place = {
                "study_instance_uid": uid,
                "series_instance_uid": instance["0020000E"]["Value"][0],
                "sop_instance_uid": instance["00080018"]["Value"][0],
            }
            # Not by Retrieve URL: this client sends a Host header without the port.
            raw = requests.get(
                "/".join(
                    (
                        root,
                        "studies",
                        uid,
                        "series",
                        place["series_instance_uid"],
                        "instances",
                        place["sop_instance_uid"],
                    )
                ),
                headers={
                    "Accept": "application/dicom; transfer-syntax=*",
                    "Authorization": f"Bearer {token}",
                },
                timeout=10,
            )
            found[place["sop_instance_uid"]] = hashlib.sha256(raw.content).hexdigest()
            dataset = client.retrieve_instance(**place, media_types=(("application/dicom", "*"),))
            metadata = client.retrieve_instance_metadata(**place)
            assert dataset == pydicom.dcmread(io.BytesIO(raw.content))
            assert metadata["00080018"]["Value"] == [place["sop_instance_uid"]]

    assert found == {
        each.header.sop_instance_uid: hashlib.sha256(each.data).hexdigest() for each in archived
    }


def test_dicomweb_client_reads_frames_and_series(
    archived: list[archive.Stored], live_server: Any, token: str
) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(f"{live_server.url}/dicom-web", session=session)

    for each in archived:
        header = each.header
        series = client.retrieve_series(header.study_instance_uid, header.series_instance_uid)
        assert header.sop_instance_uid in {str(dataset.SOPInstanceUID) for dataset in series}
        if header.frames.count:
            frames = client.retrieve_instance_frames(
                header.study_instance_uid,
                header.series_instance_uid,
                header.sop_instance_uid,
                frame_numbers=[1],
            )
            assert len(frames) == 1
            assert len(frames[0]) > 0


def test_bulk_data_of_deflated_and_big_endian_instances_are_little_endian(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    syntaxes = {ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
    paths = {
        row.sop_instance_uid: row.path
        for row in dicom_files.rows()
        if row.transfer_syntax_uid in syntaxes
        and row.kind != "malformed"
        and row.fields["study_instance_uid"]
        and row.fields["series_instance_uid"]
    }
    checked: dict[str, int] = {}
    for each in archive.archive_files(province.near, paths.values(), tmp_path=tmp_path):
        dataset = pydicom.dcmread(each.path)
        if "7FE00010" not in each.header.bulk or dataset.BitsAllocated > 16:
            continue
        expected = dataset.PixelData
        syntax, vr = each.header.transfer_syntax_uid, dataset["PixelData"].VR
        if syntax == ExplicitVRBigEndian and vr == "OW":
            expected = b"".join(expected[at : at + 2][::-1] for at in range(0, len(expected), 2))
        answer = reader.get(f"/dicom-web/{each.url}/bulkdata/7FE00010")
        assert body_of(answer) == expected, each.path
        checked[syntax] = checked.get(syntax, 0) + 1

    assert set(checked) == syntaxes
