"""Rendered resources and thumbnails at every level (PS3.18 §10.4.1.1.3 and §10.4.1.1.4)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from django.core.cache import cache
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    VideoEndoscopicImageStorage,
)

from common.audit.models import RepeatedAccess
from common.dicomweb.multipart import iter_parts
from sharing.dicomweb import drawing, rendered
from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_retrieve import ROOT, SMALL, body_of
from tests.support import archive, dicom_files

CINE = next(row.path for row in dicom_files.rows("instance") if row.fields["frames"] == "27")
REPORT = next(row.path for row in dicom_files.rows("instance") if "sr_document.dcm" in row.name)


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()
    drawing.forget_pictures()


def slices(folder: Path, count: int) -> list[Path]:
    """A series of slices, each of one shade."""
    paths = []
    for number in range(1, count + 1):
        dataset: Dataset = pydicom.dcmread(SMALL)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        dataset.InstanceNumber = number
        dataset.WindowCenter, dataset.WindowWidth = 100, 200
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        shade = np.full((dataset.Rows, dataset.Columns), 20 * number, np.int16)
        dataset.PixelData = shade.tobytes()
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.fixture
def series(province: Province, tmp_path: Path) -> str:
    """Address of a series of five slices."""
    stored = archive.archive_files(province.near, slices(tmp_path, 5), tmp_path=tmp_path)
    return ROOT + stored[0].url.partition("/instances/")[0]


@pytest.fixture
def cine(province: Province, tmp_path: Path) -> str:
    """Address of an ultrasound loop of 27 frames."""
    return ROOT + archive.archive_files(province.near, [CINE], tmp_path=tmp_path)[0].url


def parts_of(answer: Any) -> list[tuple[str, bytes, str]]:
    assert answer.status_code == 200, body_of(answer)
    boundary = answer["Content-Type"].rpartition("boundary=")[2]
    parts = iter_parts(answer.streaming_content, boundary=boundary)
    return [
        (
            part.content_type.partition(";")[0],
            b"".join(part.chunks()),
            part.headers.get("content-location", ""),
        )
        for part in parts
    ]


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def shade(data: bytes) -> int:
    return int(np.asarray(picture(data).convert("L")).mean())


@pytest.mark.parametrize("level", ["series", "study"])
def test_a_series_and_a_study_give_every_picture_in_a_part_of_its_own(
    series: str, reader: Any, level: str
) -> None:
    address = series if level == "series" else series.partition("/series/")[0]
    answer = reader.get(f"{address}/rendered?quality=95")

    parts = parts_of(answer)
    assert answer["Content-Type"].startswith('multipart/related; type="image/jpeg"')
    assert [kind for kind, _, _ in parts] == ["image/jpeg"] * 5
    assert [shade(data) // 5 for _, data, _ in parts] == [5, 10, 15, 20, 25]
    assert parts[1][2].endswith("/instances/1.2.3.2/frames/1/rendered")
    assert reader.get(parts[1][2].replace("http://testserver", "")).status_code == 200


def test_a_series_can_be_one_animation(series: str, reader: Any) -> None:
    answer = reader.get(f"{series}/rendered", headers={"accept": "image/gif"})

    animation = picture(answer.content)
    assert (animation.format, getattr(animation, "n_frames", 0)) == ("GIF", 5)
    assert animation.size == (128, 128)
    again = reader.get(f"{series}/rendered", headers={"accept": "image/gif"})
    assert again.content == answer.content


def test_several_pictures_are_not_squeezed_into_one_jpeg(series: str, reader: Any) -> None:
    answer = reader.get(f"{series}/rendered", headers={"accept": "image/jpeg"})

    assert answer.status_code == 406
    assert "multipart/related" in answer.content.decode()


def test_frames_are_given_in_the_order_asked_for(cine: str, reader: Any) -> None:
    accept = 'multipart/related; type="image/png"'
    some = parts_of(reader.get(f"{cine}/frames/3,1/rendered", headers={"accept": accept}))
    one = parts_of(reader.get(f"{cine}/frames/1/rendered", headers={"accept": accept}))

    assert [kind for kind, _, _ in some] == ["image/png"] * 2
    assert some[1][1] == one[0][1]
    assert some[0][2].endswith("/frames/3/rendered")


def test_a_cine_is_its_first_frame_all_frames_or_an_animation(cine: str, reader: Any) -> None:
    first = reader.get(f"{cine}/rendered?viewport=64,64")
    every = parts_of(
        reader.get(
            f"{cine}/rendered?viewport=64,64",
            headers={"accept": "multipart/related; type=image/jpeg"},
        )
    )
    moving = reader.get(f"{cine}/rendered?viewport=64,64&accept=image/gif")

    assert first["Content-Type"] == "image/jpeg"
    assert len(every) == 27
    assert every[0][1] == first.content
    assert getattr(picture(moving.content), "n_frames", 0) > 20  # equal ones are joined


def test_an_animation_too_large_to_be_held_is_drawn_smaller(
    cine: str, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_MOST_ANIMATED_PIXELS", 27 * 5_000)
    moving = picture(reader.get(f"{cine}/rendered?accept=image/gif").content)
    refused = reader.get(f"{cine}/rendered?accept=image/gif&viewport=500,500")

    assert moving.width * moving.height <= 5_100
    assert refused.status_code == 406


def test_too_many_pictures_are_refused(
    series: str, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered, "MOST_PICTURES", 4)

    assert reader.get(f"{series}/rendered").status_code == 406


def test_a_picture_that_cannot_be_decoded_is_a_part_that_says_so(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    paths = slices(tmp_path, 3)
    broken: Dataset = pydicom.dcmread(paths[1])
    broken.file_meta.TransferSyntaxUID = JPEG2000Lossless
    broken.PixelData = encapsulate([b"\xff\x4f\xff\x51 no picture"])
    broken["PixelData"].is_undefined_length = True
    broken.save_as(paths[1], enforce_file_format=True)
    stored = archive.archive_files(province.near, paths, tmp_path=tmp_path)
    address = ROOT + stored[0].url.partition("/instances/")[0]

    parts = parts_of(reader.get(f"{address}/rendered"))
    alone = reader.get(f"{ROOT}{stored[1].url}/rendered")

    assert [kind for kind, _, _ in parts] == ["image/jpeg", "text/plain", "image/jpeg"]
    assert b"decoded" in parts[1][1]
    assert alone.status_code == 406


@pytest.mark.parametrize("level", ["series", "study"])
def test_the_thumbnail_of_many_is_the_middle_one(series: str, reader: Any, level: str) -> None:
    address = series if level == "series" else series.partition("/series/")[0]
    answer = reader.get(f"{address}/thumbnail?accept=image/png")

    assert picture(answer.content).size == (128, 128)
    assert shade(answer.content) // 5 == 15
    same = reader.get(
        f"{address}/thumbnail?accept=image/png", headers={"if-none-match": answer["ETag"]}
    )
    assert same.status_code == 304


def test_what_the_caller_holds_of_many_is_not_sent_again(series: str, reader: Any) -> None:
    first = reader.get(f"{series}/rendered")
    body_of(first)

    assert (
        reader.get(f"{series}/rendered", headers={"if-none-match": first["ETag"]}).status_code
        == 304
    )
    other = reader.get(f"{series}/rendered?quality=10", headers={"if-none-match": first["ETag"]})
    assert other.status_code == 200
    body_of(other)


@pytest.mark.parametrize(
    ("viewport", "status"),
    [
        ("64,64,0,0,64,64", 200),
        ("64,64,,,-128,128", 200),
        ("64,64,10.5,10.5,20.25,20", 200),
        ("64,64,0,0,0,64", 400),
        ("64,64,500,500,10,10", 400),
        ("64,64,nan,0,1,1", 400),
        ("64,64,1e9,0,1,1", 400),
        ("64,64,1,2,3,4,5", 400),
        ("64", 400),
        ("64,", 400),
        (",64", 400),
        ("64,-64", 400),
    ],
)
def test_a_viewport_may_name_a_source_region(
    series: str, reader: Any, viewport: str, status: int
) -> None:
    answer = reader.get(f"{series}/instances/1.2.3.1/rendered?viewport={viewport}")

    assert answer.status_code == status


@pytest.mark.parametrize("resource", ["thumbnail", "instances/1.2.3.3/thumbnail"])
def test_a_thumbnail_never_names_the_patient(series: str, reader: Any, resource: str) -> None:
    plain = reader.get(f"{series}/{resource}")
    noted = reader.get(f"{series}/{resource}?annotation=patient")

    assert plain.status_code == 200
    assert noted.content == plain.content


def test_annotation_and_profiles_are_part_of_the_picture(series: str, reader: Any) -> None:
    url = f"{series}/instances/1.2.3.1/rendered?viewport=512,512&accept=image/png"
    plain, noted = reader.get(url), reader.get(f"{url}&annotation=patient,technique,horoscope")

    assert plain.content != noted.content
    assert "Warning" not in plain
    assert noted["Warning"] == '299 - "1 values of annotation are not known here"'
    assert picture(reader.get(f"{url}&iccprofile=yes").content).info["icc_profile"]
    assert reader.get(f"{url}&iccprofile=adobergb").status_code == 400


def other_instance(path: Path, sop_class: str, syntax: str, **values: Any) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, "1.2.4.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.4", "1.2.4.9"
    for name, value in values.items():
        setattr(dataset, name, value)
    if "PixelData" in values:
        dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("size", [101, 5_001])
def test_an_encapsulated_pdf_is_a_pdf(
    province: Province, reader: Any, tmp_path: Path, size: int
) -> None:
    document = b"%PDF-1.7" + b"x" * (size - 8)
    path = other_instance(
        tmp_path / "pdf.dcm",
        EncapsulatedPDFStorage,
        ExplicitVRLittleEndian,
        Modality="DOC",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=document + b"\x00",
        EncapsulatedDocumentLength=size,
    )
    stored = archive.archive_files(province.near, [path], tmp_path=tmp_path)[0]

    answer = reader.get(f"{ROOT}{stored.url}/rendered")

    assert answer["Content-Type"] == "application/pdf"
    assert body_of(answer) == document
    end = reader.get(f"{ROOT}{stored.url}/rendered", headers={"range": "bytes=-7"})
    assert (end.status_code, body_of(end)) == (206, document[-7:])
    assert reader.get(f"{ROOT}{stored.url}/rendered?accept=image/png").status_code == 406
    assert reader.get(f"{ROOT}{stored.url}/thumbnail").status_code == 406
    assert reader.get(f"{ROOT}{stored.url.partition('/series/')[0]}/thumbnail").status_code == 406


def test_other_documents_are_not_run_as_ours(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    path = other_instance(
        tmp_path / "xml.dcm",
        EncapsulatedPDFStorage,
        ExplicitVRLittleEndian,
        MIMETypeOfEncapsulatedDocument="text/html",
        EncapsulatedDocument=b"<script>1</script>",
    )
    stored = archive.archive_files(province.near, [path], tmp_path=tmp_path)[0]

    assert reader.get(f"{ROOT}{stored.url}/rendered").status_code == 406


@pytest.mark.parametrize(
    ("beginning", "status"), [(b"\x00\x00\x00\x18ftypmp42", 200), (b"G" + bytes(187), 406)]
)
def test_stored_video_goes_out_where_browsers_play_it(
    province: Province, reader: Any, tmp_path: Path, beginning: bytes, status: int
) -> None:
    video = beginning + bytes(range(256)) * 20
    path = other_instance(
        tmp_path / "video.dcm",
        VideoEndoscopicImageStorage,
        MPEG4HP41,
        NumberOfFrames=100,
        Rows=1080,
        Columns=1920,
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_PARTIAL_420",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        PixelData=encapsulate([video], has_bot=False),
    )
    stored = archive.archive_files(province.near, [path], tmp_path=tmp_path)[0]

    answer = reader.get(f"{ROOT}{stored.url}/rendered")

    assert answer.status_code == status
    if status == 200:
        assert answer["Content-Type"] == "video/mp4"
        assert body_of(answer) == video
        part = reader.get(f"{ROOT}{stored.url}/rendered", headers={"range": "bytes=100-299"})
        assert (part.status_code, body_of(part)) == (206, video[100:300])
        assert reader.get(f"{ROOT}{stored.url}/rendered?accept=image/jpeg").status_code == 406


def test_a_report_is_a_page_without_script(province: Province, reader: Any, tmp_path: Path) -> None:
    dataset: Dataset = pydicom.dcmread(REPORT)
    dataset.ConceptNameCodeSequence[0].CodeMeaning = "<script>alert(1)</script>"
    path = tmp_path / "report.dcm"
    dataset.save_as(path, enforce_file_format=True)
    stored = archive.archive_files(province.near, [path], tmp_path=tmp_path)[0]

    page = reader.get(f"{ROOT}{stored.url}/rendered")
    text = reader.get(f"{ROOT}{stored.url}/rendered?accept=text/plain")

    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert b"&lt;script&gt;" in page.content
    assert b"<script" not in page.content
    assert text.content.count(b"\n") > 5


@pytest.mark.parametrize("rest", ["rendered", "thumbnail", "instances/1.2.3.1/rendered"])
def test_looking_at_pictures_is_in_the_trail(series: str, reader: Any, rest: str) -> None:
    body_of(reader.get(f"{series}/{rest}"))

    assert [entry.values["action"] for entry in RepeatedAccess.objects.all()] == ["dicomweb.view"]


def test_drawing_an_animation_takes_bounded_memory(
    cine: str, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def watching(**arguments: Any) -> Image.Image:
        held.append(len(arguments["frame"]))
        return Image.new("L", arguments["picture"].viewport)

    monkeypatch.setattr(drawing, "render_image", watching)
    answer = reader.get(f"{cine}/rendered?accept=image/gif&viewport=32,32")

    assert answer.status_code == 200
    assert len(held) == 27
