"""WADO-URI (PS3.18 §9): one instance by query parameters, with the rights and bytes of WADO-RS."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pydicom
import pytest
from PIL import Image

from sharing.dicomweb.wado_uri import read_region
from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_retrieve import SMALL, body_of
from tests.support import archive, dicom_files

REPORT = next(
    row.path for row in dicom_files.rows("instance") if "sr_document.dcm" in str(row.path)
)
CINE = next(row.path for row in dicom_files.rows("instance") if row.fields["frames"] == "27")


def url_of(stored: archive.Stored, **more: str) -> str:
    header = stored.header
    asked = {
        "requestType": "WADO",
        "studyUID": header.study_instance_uid,
        "seriesUID": header.series_instance_uid,
        "objectUID": header.sop_instance_uid,
    }
    return "/wado?" + urlencode({**asked, **more})


@pytest.fixture
def small(province: Province, tmp_path: Path) -> archive.Stored:
    return archive.archive_files(province.near, [SMALL], tmp_path=tmp_path)[0]


def picture_of(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.content
    return Image.open(io.BytesIO(answer.content))


def test_an_image_is_a_jpeg_where_no_content_type_is_named(
    small: archive.Stored, reader: Any
) -> None:
    answer = reader.get(url_of(small))

    assert answer["Content-Type"] == "image/jpeg"
    assert picture_of(answer).size == (128, 128)


def test_the_instance_itself_is_a_dicom_file_in_the_syntax_asked_for(
    small: archive.Stored, reader: Any
) -> None:
    answer = reader.get(
        url_of(
            small,
            contentType="application/dicom",
            transferSyntax=small.header.transfer_syntax_uid,
        )
    )

    assert answer["Content-Type"].startswith("application/dicom")
    assert body_of(answer) == small.data


def test_a_region_and_a_size_show_that_part(small: archive.Stored, reader: Any) -> None:
    whole = np.asarray(picture_of(reader.get(url_of(small, contentType="image/png"))))
    answer = reader.get(
        url_of(small, contentType="image/png", region="0.5,0,1,0.5", rows="64", columns="64")
    )

    assert np.array_equal(np.asarray(picture_of(answer)), whole[:64, 64:])


def test_a_window_is_that_of_the_restful_service(small: archive.Stored, reader: Any) -> None:
    by_query = reader.get(
        url_of(small, contentType="image/png", windowCenter="40", windowWidth="400")
    )
    restful = reader.get(f"/dicom-web/{small.url}/rendered?window=40,400&accept=image/png")

    assert by_query.content == restful.content


def test_a_cine_is_dicom_unless_a_frame_or_a_picture_is_asked_for(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    stored = archive.archive_files(province.near, [CINE], tmp_path=tmp_path)[0]
    whole = reader.get(url_of(stored, contentType="image/gif", columns="64", rows="64"))
    one = reader.get(url_of(stored, frameNumber="3"))

    assert picture_of(whole).n_frames > 20  # type: ignore[attr-defined]
    assert one["Content-Type"] == "image/jpeg"
    assert reader.get(url_of(stored, frameNumber="99")).status_code == 404


def test_a_report_is_a_page(province: Province, reader: Any, tmp_path: Path) -> None:
    stored = archive.archive_files(province.near, [REPORT], tmp_path=tmp_path)[0]
    page = reader.get(url_of(stored))
    text = reader.get(url_of(stored, contentType="text/plain"))

    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert b"<h1>" in page.content
    assert text["Content-Type"] == "text/plain; charset=utf-8"
    assert pydicom.dcmread(REPORT).ConceptNameCodeSequence[0].CodeMeaning in text.content.decode()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"requestType": "QUERY"}, 400),
        ({"studyUID": ""}, 400),
        ({"objectUID": "1.2.x"}, 400),
        ({"seriesUID": "1.2.3"}, 404),
        ({"objectUID": "1.2.3"}, 404),
        ({"anonymize": "yes"}, 400),
        ({"presentationUID": "1.2.3"}, 400),
        ({"contentType": "image/tiff"}, 406),
        ({"contentType": "text/html"}, 406),
        ({"charset": "GB18030"}, 406),
        ({"rows": "0"}, 400),
        ({"columns": "many"}, 400),
        ({"windowCenter": "40"}, 400),
        ({"windowCenter": "40", "windowWidth": "0"}, 400),
        ({"region": "0,0,2,2"}, 400),
        ({"region": "0.5,0.5,0.5,1"}, 400),
        ({"region": "nan,0,1,1"}, 400),
        ({"imageQuality": "0"}, 400),
        ({"frameNumber": "2"}, 404),
        ({"contentType": "application/dicom", "rows": "20"}, 400),
        ({"contentType": "image/jpeg", "transferSyntax": "1.2.840.10008.1.2.1"}, 400),
        ({"contentType": "application/dicom", "transferSyntax": "1.2.3"}, 406),
    ],
)
def test_what_cannot_be_given_is_refused_with_a_reason(
    small: archive.Stored, reader: Any, change: dict[str, str], status: int
) -> None:
    answer = reader.get(url_of(small, **change))

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/plain")
    assert answer.content.strip()


def test_rights_are_those_of_the_institution(
    small: archive.Stored, province: Province, client: Any, token: str
) -> None:
    stranger = client.get(url_of(small)).status_code
    by_token = client.get(url_of(small), headers={"authorization": f"Bearer {token}"}).status_code
    client.force_login(province.stranger)

    assert (stranger, by_token) == (401, 200)
    assert client.get(url_of(small)).status_code == 404
    for kind in ("application/dicom", "image/png"):
        assert client.get(url_of(small, contentType=kind)).status_code == 404


def test_head_has_no_body(small: archive.Stored, reader: Any) -> None:
    answer = reader.head(url_of(small))

    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/jpeg"
    assert body_of(answer) == b""


def test_a_region_is_kept_in_parts_of_the_image() -> None:
    region = read_region("0.25,0.5,0.75,1")

    assert region is not None
    assert (region.x, region.y, region.width, region.height) == (0.25, 0.5, 0.5, 0.5)
