"""Rendered resources (PS3.18 §10.4.1.1.3): pictures that look as the pixels say."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pydicom
import pytest
from django.core.cache import cache
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from common.dicomweb import render
from common.dicomweb.render import Picture, Window
from common.dicomweb.server import NotAcceptable
from common.errors import DomainError
from sharing.dicomweb import drawing
from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_retrieve import ROOT, SMALL
from tests.support import archive, dicom_files


@pytest.fixture(autouse=True)
def _empty_cache(settings: Any) -> None:
    cache.clear()
    drawing.forget_pictures()


def picture_of(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.content
    image = Image.open(io.BytesIO(answer.content))
    assert answer["Content-Type"] == f"image/{(image.format or '').lower()}"
    return image


@pytest.fixture
def small(province: Province, tmp_path: Path) -> archive.Stored:
    return archive.archive_files(province.near, [SMALL], tmp_path=tmp_path)[0]


def test_a_window_shows_what_pydicom_computes(small: archive.Stored, reader: Any) -> None:
    dataset = pydicom.dcmread(SMALL)
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    hounsfield = apply_modality_lut(dataset.pixel_array, dataset)
    expected = apply_voi_lut(hounsfield, dataset)
    expected = (expected - expected.min()) / (expected.max() - expected.min()) * 255

    answer = reader.get(f"{ROOT}{small.url}/rendered?window=40,400,linear&accept=image/png")

    found = np.asarray(picture_of(answer)).astype(float)
    assert found.shape == dataset.pixel_array.shape
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize(
    ("rest", "size", "kind"),
    [
        ("rendered", (128, 128), "JPEG"),
        ("rendered?viewport=64,32", (32, 32), "JPEG"),
        ("rendered?viewport=512,512&quality=40", (512, 512), "JPEG"),
        ("frames/1/rendered?accept=image/png", (128, 128), "PNG"),
        ("thumbnail?accept=image%2Fjpeg", (128, 128), "JPEG"),
        ("frames/1/thumbnail?viewport=20,20", (20, 20), "JPEG"),
    ],
)
def test_size_and_media_type_are_those_asked_for(
    small: archive.Stored, reader: Any, rest: str, size: tuple[int, int], kind: str
) -> None:
    image = picture_of(reader.get(f"{ROOT}{small.url}/{rest}"))

    assert image.size == size
    assert image.format == kind


def test_a_picture_is_kept_and_not_sent_twice_to_who_has_it(
    small: archive.Stored, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{ROOT}{small.url}/rendered"
    first = reader.get(url)

    def never(*args: Any, **kwargs: Any) -> bytes:
        raise AssertionError("rendered again")

    monkeypatch.setattr("sharing.dicomweb.drawing.render", never)
    again = reader.get(url)
    same = reader.get(url, headers={"if-none-match": first["ETag"]})

    assert again.content == first.content
    assert same.status_code == 304


# Syntaxes that every picture of the collection in it is shown of; the one exception is damaged.
DECODABLE = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.8.1",
    *(
        f"1.2.840.10008.1.2.4.{number}"
        for number in (50, 51, 53, 55, 57, 70, 80, 81, 90, 91, 111, 201, 203)
    ),
}
DAMAGED = {"pydicom/test_files/jpeg2000-embedded-sequence-delimiter.dcm"}
PICTURES = [
    row
    for row in dicom_files.rows("instance")
    if row.fields["pixels"]
    and row.fields["study_instance_uid"]
    and row.fields["series_instance_uid"]
]


def test_every_picture_is_shown_or_refused_with_its_reason(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    one_per_kind = {
        (row.transfer_syntax_uid, row.fields["source_repository"], row.fields["sop_class"]): row
        for row in PICTURES
    }
    stored = archive.archive_files(
        province.near, [row.path for row in one_per_kind.values()], tmp_path=tmp_path
    )
    refused = set()

    for each in stored:
        answer = reader.get(f"{ROOT}{each.url}/thumbnail")
        if answer.status_code == 200:
            picture_of(answer).load()
        else:
            assert answer.status_code == 406, each.path
            assert answer.content.strip()
            refused.add((each.header.transfer_syntax_uid, each.header.frames.count, each.path.name))

    assert {name for syntax, frames, name in refused if frames and syntax in DECODABLE} <= {
        Path(name).name for name in DAMAGED
    }


def test_malformed_files_that_were_kept_give_a_picture_or_a_reason(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    readable = []
    for row in dicom_files.rows("malformed"):
        try:
            readable += archive.archive_files(
                province.near, [row.path], tmp_path=Path(mkdtemp(dir=tmp_path))
            )
        except (DomainError, ValueError):
            continue  # never came into the archive

    for each in readable:
        for rest in ("rendered", "thumbnail", "frames/1/rendered?accept=image/png"):
            assert reader.get(f"{ROOT}{each.url}/{rest}").status_code in {200, 404, 406}, each.path

    assert len(readable) >= 2


def test_a_very_large_picture_takes_little_more_memory_than_its_pixels() -> None:
    side = 5_000
    words = {"00280010": side, "00280011": side, "00280100": 16, "00280101": 16}
    attributes = grey([0]) | {tag: {"vr": "US", "Value": [word]} for tag, word in words.items()}
    frame = np.arange(side * side, dtype=np.uint32).astype("<u2").tobytes()
    tracemalloc.start()
    try:
        data = render.render(
            attributes,
            frame,
            Picture(viewport=(500, 500)),
            transfer_syntax_uid="1.2.840.10008.1.2.1",
        )
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert Image.open(io.BytesIO(data)).size == (500, 500)
    assert most < 2 * side * side


def grey(values: list[int], **more: Any) -> dict[str, Any]:
    return {
        "00280010": {"vr": "US", "Value": [1]},
        "00280011": {"vr": "US", "Value": [len(values)]},
        "00280002": {"vr": "US", "Value": [1]},
        "00280004": {"vr": "CS", "Value": [more.pop("kind", "MONOCHROME2")]},
        "00280100": {"vr": "US", "Value": [8]},
        "00280101": {"vr": "US", "Value": [8]},
        "00280103": {"vr": "US", "Value": [0]},
        **more,
    }


def shown(attributes: dict[str, Any], values: list[int], **wanted: Any) -> list[Any]:
    data = render.render(
        attributes,
        bytes(values),
        Picture(media_type="image/png", **wanted),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )
    pixels: list[Any] = np.asarray(Image.open(io.BytesIO(data)))[0].tolist()
    return pixels


def test_monochrome1_is_shown_inverted() -> None:
    values = [0, 100, 200]

    assert shown(grey(values), values) == [0, 128, 255]
    assert shown(grey(values, kind="MONOCHROME1"), values) == [255, 127, 0]


def test_a_window_that_is_asked_for_outweighs_the_one_of_the_image() -> None:
    values = [0, 50, 100, 200]
    own = {"00281050": {"vr": "DS", "Value": [25]}, "00281051": {"vr": "DS", "Value": [50]}}

    assert shown(grey(values, **own), values)[2:] == [255, 255]
    assert shown(grey(values, **own), values, window=Window(150, 100, "linear-exact")) == [
        0,
        0,
        0,
        255,
    ]


def test_a_palette_gives_the_colours_of_its_tables() -> None:
    values = [0, 1, 2]
    table = {"vr": "OW", "InlineBinary": "AAD/f///"}  # 0, 0x7FFF, 0xFFFF
    descriptor = {"vr": "US", "Value": [3, 0, 16]}
    tags = ("00281101", "00281102", "00281103"), ("00281201", "00281202", "00281203")
    lookup = dict.fromkeys(tags[0], descriptor) | dict.fromkeys(tags[1], table)

    found = shown(grey(values, kind="PALETTE COLOR", **lookup), values)

    assert found == [[0, 0, 0], [127, 127, 127], [255, 255, 255]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"00280010": {"vr": "US", "Value": [60_000]}}, "too large", id="too large"),
        pytest.param({"00280002": {"vr": "US", "Value": [7]}}, "no picture", id="odd samples"),
        pytest.param({"00280010": {"vr": "US", "Value": [9]}}, "cannot be decoded", id="too short"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_memory_is_taken(
    change: dict[str, Any], reason: str
) -> None:
    values = [0, 1, 2]
    attributes = grey(values, **change)
    attributes["00280011"] = {"vr": "US", "Value": [60_000 if "large" in reason else 3]}

    with pytest.raises(NotAcceptable, match=reason):
        shown(attributes, values)


def test_a_table_larger_than_any_can_be_is_not_read_into_memory(
    province: Province, reader: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(drawing, "_MOST_TABLE_BYTES", 100_000)
    dataset, table = pydicom.dcmread(SMALL), pydicom.Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [65535, 0, 16], "HU"
    table.add_new("LUTData", "OW", bytes(200_000))
    dataset.ModalityLUTSequence = [table]
    dataset.save_as(tmp_path / "table.dcm")
    stored = archive.archive_files(province.near, [tmp_path / "table.dcm"], tmp_path=tmp_path)[0]

    answer = reader.get(f"{ROOT}{stored.url}/rendered")

    assert answer.status_code == 406
    assert "table" in answer.content.decode()
