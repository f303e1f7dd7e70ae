"""Each frame is the one that pydicom finds, read without the other frames."""

from __future__ import annotations

import io
import json
import warnings

import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRBigEndian

from common.dicom.frames import Frames, frame_ranges, read_frame
from common.dicom.json_model import swap_words
from common.dicom.part10 import Instance, read_instance
from tests.support.dicom_files import Row, row, rows

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
WITH_PIXELS = [
    found
    for found in rows()
    if found.kind in ("instance", "same-uid variant")
    and found.fields["pixels"] != "none"
    and found.fields["study_instance_uid"]  # those without are refused: test_against_pydicom
]
pytestmark = pytest.mark.skipif(not WITH_PIXELS, reason="the collection of DICOM files is not here")


def read(row: Row) -> tuple[bytes, Instance]:
    stored = row.path.read_bytes()
    return stored, read_instance(io.BytesIO(stored), offset=0, length=len(stored))


def expected_frames(row: Row) -> list[bytes]:
    """Frames as pydicom has them: encapsulated as they are, native little endian, bits repacked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(row.path)
        keyword = next(keyword for keyword in PIXEL_KEYWORDS if keyword in dataset)
        value = dataset[keyword].value
        count = int(dataset.get("NumberOfFrames") or 1)
        if dataset[keyword].is_undefined_length:
            table = dataset.get("ExtendedOffsetTable")
            tables = (table, dataset.ExtendedOffsetTableLengths) if table else None
            return list(generate_frames(value, number_of_frames=count, extended_offsets=tables))
    allocated = {"PixelData": dataset.get("BitsAllocated")}.get(keyword)
    allocated = allocated or {"FloatPixelData": 32, "DoubleFloatPixelData": 64}[keyword]
    samples = dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1)
    if row.transfer_syntax_uid == ExplicitVRBigEndian:
        word = allocated // 8 if allocated > 8 else (2 if dataset[keyword].VR == "OW" else 1)
        value = swap_words(value, word)
    if allocated == 1:
        return [packed(value, samples, number) for number in range(count)]
    size = samples * allocated // 8
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        size = size // 3 * 2
    return [value[i * size : (i + 1) * size] for i in range(count)]


def packed(value: bytes, samples: int, number: int) -> bytes:
    """One frame of a 1-bit image, bit by bit: slow, plain, and independent of the code under test."""
    found = bytearray(-(-samples // 8))
    for i in range(samples):
        bit = number * samples + i
        if value[bit >> 3] >> (bit & 7) & 1:
            found[i >> 3] |= 1 << (i & 7)
    return bytes(found)


@pytest.mark.parametrize("row", WITH_PIXELS, ids=lambda row: row.name)
def test_frames_are_those_of_pydicom(row):
    stored, instance = read(row)
    frames = Frames.from_json(json.loads(json.dumps(instance.frames.to_json())))
    assert frames == instance.frames

    expected = expected_frames(row)

    assert frames.count == len(expected)
    numbers = range(1, frames.count + 1)
    if frames.count > 40:  # first, last and some between
        numbers = [1, 2, frames.count // 2, frames.count - 1, frames.count]
    for number in numbers:
        got = read_frame(frames, number, lambda offset, length: stored[offset : offset + length])
        assert got == expected[number - 1], number
        ranges = frame_ranges(frames, number)
        if ranges is not None:
            assert b"".join(stored[a : a + n] for a, n in ranges) == got


def test_a_frame_that_is_not_there_is_an_index_error():
    frames = Frames("native", 2, 100, 8, 32)

    for number in (0, 3, -1):
        assert frame_ranges(frames, number) is None
        with pytest.raises(IndexError):
            read_frame(frames, number, lambda offset, length: b"\0" * length)


def test_one_bit_frames_start_inside_a_byte():
    frames = Frames("bits", 3, 0, 4, 9)
    stored = int("1" * 9 + "0" * 9 + "101010101", 2).to_bytes(4, "little")

    got = [read_frame(frames, n, lambda a, b: stored[a : a + b]) for n in (1, 2, 3)]

    assert got == [b"\x55\x01", b"\x00\x00", b"\xff\x01"]


def test_number_of_frames_that_is_no_number_leaves_the_instance_readable():
    _, instance = read(row("malformed/pydicom/badvr.dcm"))

    assert instance.frames == Frames()
    assert instance.attributes["00280008"]["Value"] == ["1A"]


class CountingFile(io.BytesIO):
    """Remembers how much of it was read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.read_bytes += len(found)
        return found


@pytest.mark.parametrize(
    "name",
    [
        "dcm_qa_ct/philips_phantom_std_brain_5mm/i10.dcm",
        "static-dicomweb/jpeg8bit.dcm",
        "cornerstone/testpattern_rgb.dcm",
    ],
)
def test_pixels_are_not_read(name):
    found = row(name)
    file = CountingFile(found.path.read_bytes())

    read_instance(file, offset=0, length=len(file.getvalue()))

    assert file.read_bytes < 160 * 1024
    assert file.read_bytes < len(file.getvalue()) / 3
