"""What an instance tells about itself: long values by reference, ambiguous VRs settled."""

from __future__ import annotations

import io
import struct
import zlib

import pytest

from common.dicom.bulk import is_plain, read_bulk
from common.dicom.frames import read_frame
from common.dicom.part10 import Instance, read_instance
from common.dicom.uids import is_valid_uid
from tests.common.dicom.builder import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT_LE,
    IMPLICIT_LE,
    SEQUENCE_END,
    UNDEFINED,
    element,
    implicit,
    item,
    part10,
    text,
    uids,
)


def read(data: bytes) -> Instance:
    return read_instance(io.BytesIO(data), offset=0, length=len(data))


def image(pixels: bytes, *, order: str = "<", frames: int = 2) -> bytes:
    def number(value: int) -> bytes:
        return struct.pack(order + "H", value)

    return (
        uids(order=order)
        + element(0x00280002, "US", number(1), order=order)
        + element(0x00280008, "IS", text(str(frames)), order=order)
        + element(0x00280010, "US", number(2), order=order)
        + element(0x00280011, "US", number(2), order=order)
        + element(0x00280100, "US", number(16), order=order)
        + element(0x7FE00010, "OW", pixels, order=order)
    )


def encoded(pixels: list[int], syntax: str) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    data_set = image(struct.pack(f"{order}{len(pixels)}H", *pixels), order=order)
    if syntax == DEFLATED:
        packer = zlib.compressobj(9, wbits=-15)
        data_set = packer.compress(data_set) + packer.flush()
    return part10(data_set, syntax=syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, BIG_ENDIAN, DEFLATED])
def test_frames_and_bulk_come_little_endian_from_every_encoding(syntax):
    pixels = list(range(100, 108))
    data = encoded(pixels, syntax)
    instance = read(data)

    def at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    expected = struct.pack("<8H", *pixels)
    assert [read_frame(instance.frames, n, at) for n in (1, 2)] == [expected[:8], expected[8:]]
    assert expected == read_bulk(
        at,
        instance.bulk["7FE00010"],
        vr=instance.attributes["7FE00010"]["vr"],
        transfer_syntax_uid=syntax,
        size=len(data),
    )
    assert is_plain(syntax) is (syntax == EXPLICIT_LE)


def test_frames_that_are_not_there_whole_are_not_counted():
    instance = read(part10(image(b"\0" * 20, frames=9)))

    assert instance.frames.count == 2


@pytest.mark.parametrize(
    ("vr", "size", "referred"),
    [("OB", 256, False), ("OB", 258, True), ("UT", 64 * 1024, False), ("UT", 65538, True)],
)
def test_long_values_are_referred_to(vr, size, referred):
    value = b"v" * size
    data = part10(uids() + element(0x00420011 if vr == "OB" else 0x0040A160, vr, value))
    path = "00420011" if vr == "OB" else "0040A160"

    instance = read(data)

    entry = instance.attributes[path]
    assert ("BulkDataURI" in entry) is referred
    if referred:
        assert entry == {"vr": vr, "BulkDataURI": f"instances/1.2.3.4/bulkdata/{path}"}
        offset, length = instance.bulk[path]
        assert data[offset : offset + length] == value


def test_a_nested_long_value_has_the_path_of_its_items():
    inner = element(0x54001010, "OW", b"\1\2" * 2000)
    sequence = element(0x54000100, "SQ", item() + item(inner) + SEQUENCE_END, length=UNDEFINED)
    data = part10(uids() + sequence)

    instance = read(data)

    offset, length = instance.bulk["54000100.1.54001010"]
    assert data[offset : offset + length] == b"\1\2" * 2000
    entry = instance.attributes["54000100"]["Value"][1]["54001010"]
    assert entry["BulkDataURI"] == "instances/1.2.3.4/bulkdata/54000100.1.54001010"


@pytest.mark.parametrize(
    ("representation", "vr", "value"), [(0, "US", 65535), (1, "SS", -1), (None, "US", 65535)]
)
def test_an_ambiguous_vr_follows_pixel_representation(representation, vr, value):
    before = implicit(0x00189810, b"\xff\xff")  # stands before Pixel Representation
    pixel = (
        b"" if representation is None else implicit(0x00280103, struct.pack("<H", representation))
    )
    nested = implicit(0x00409096, item(implicit(0x00409216, b"\xff\xff")))
    all_uids = uids(implicit_vr=True)
    at = all_uids.index(b"\x20\0\x0d\0")
    data = part10(all_uids[:at] + before + all_uids[at:] + pixel + nested, syntax=IMPLICIT_LE)

    attributes = read(data).attributes

    assert attributes["00189810"] == {"vr": vr, "Value": [value]}
    assert attributes["00409096"]["Value"][0]["00409216"] == {"vr": vr, "Value": [value]}


def test_attributes_come_in_ascending_order():
    data = part10(uids() + element(0x00100020, "LO", text("1")) + element(0x00080060, "CS", b"CT"))

    keys = list(read(data).attributes)

    assert keys == sorted(keys)


def test_private_elements_keep_their_vr_or_are_unknown():
    data = part10(
        uids()
        + element(0x00430010, "LO", text("NOBODY KNOWS"))
        + element(0x00431001, "DS", text("1.5"))
        + element(0x00431002, "UN", b"\1\2")
    )

    attributes = read(data).attributes

    assert attributes["00431001"] == {"vr": "DS", "Value": [1.5]}
    assert attributes["00431002"] == {"vr": "UN", "InlineBinary": "AQI="}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("1.2.840.10008.1.2", True),
        ("1", True),
        ("1.02.3", True),
        ("1" * 64, True),
        ("1" * 65, False),
        ("", False),
        ("1.", False),
        (".1", False),
        ("1..2", False),
        ("1.2 ", False),
        ("1.2\n", False),
        ("1.２", False),
        ("1.2/3", False),
    ],
)
def test_uids(text, valid):
    assert is_valid_uid(text) is valid
