"""Damaged bytes end in a typed refusal or a readable instance; nothing hangs, nothing grows."""

from __future__ import annotations

import io
import struct
import time
import zlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.dicom import errors, source
from common.dicom.errors import MalformedDicom
from common.dicom.part10 import Instance, read_instance
from tests.common.dicom.builder import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT_LE,
    IMPLICIT_LE,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    element,
    implicit,
    item,
    part10,
    text,
    uids,
)
from tests.support.dicom_files import row, rows

READABLE = "readable"
OUTCOMES = {
    "dcmjs/invalid-vr-length-test.dcm": READABLE,
    "fo-dicom/freezepattern.dcm": "unreadable",
    "fo-dicom/gh177_d_clunie_ct1_ivrle_bigendian_undefined_length.dcm": READABLE,
    "fo-dicom/gh220.dcm": "missing-uid",
    "fo-dicom/gh340.dcm": "not-dicom",
    "fo-dicom/gh364.dcm": "unreadable",
    "pydicom-data/bad_sequence.dcm": "bad-uid",
    "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm": "truncated",
    "pydicom-data/jlsl_rgb_ilv0.dcm": "not-dicom",
    "pydicom-data/jlsl_rgb_ilv1.dcm": "not-dicom",
    "pydicom-data/jlsl_rgb_ilv2.dcm": "not-dicom",
    "pydicom-data/jlsn_rgb_ilv0.dcm": "not-dicom",
    "pydicom-data/ot-pal-8-face.dcm": "not-dicom",
    "pydicom/badvr.dcm": READABLE,
    "pydicom/chrsqencoding.dcm": "missing-uid",
    "pydicom/chrsqencoding1.dcm": "missing-uid",
    "pydicom/dicomdir-nooffset.dcm": "missing-uid",
    "pydicom/dicomdir-nopatient.dcm": "missing-uid",
    "pydicom/empty_charset_lei.dcm": "missing-uid",
    "pydicom/explvr_bigendnometa.dcm": "not-dicom",
    "pydicom/explvr_litendnometa.dcm": "not-dicom",
    "pydicom/j2k_pixelrep_mismatch.dcm": READABLE,
    "pydicom/meta_missing_tsyntax.dcm": "unreadable",
    "pydicom/mr_truncated.dcm": "truncated",
    "pydicom/nested_priv_sq.dcm": "missing-uid",
    "pydicom/no_meta.dcm": "not-dicom",
    "pydicom/no_meta_group_length.dcm": "missing-uid",
    "pydicom/priv_sq.dcm": "missing-uid",
    "pydicom/rtplan_truncated.dcm": "truncated",
    "pydicom/rtstruct.dcm": "not-dicom",
    "pydicom/un_sequence.dcm": "missing-uid",
}
ROWS = rows()
needs_collection = pytest.mark.skipif(not ROWS, reason="the collection of DICOM files is not here")


def read(data: bytes, character_set: str = "") -> Instance:
    return read_instance(io.BytesIO(data), offset=0, length=len(data), character_set=character_set)


def outcome(data: bytes) -> str:
    try:
        orjson.dumps(read(data).attributes)
    except MalformedDicom as refused:
        return refused.reason if str(refused) else "no text"
    return READABLE


@needs_collection
@pytest.mark.parametrize(
    "found", rows("malformed"), ids=lambda found: found.name.removeprefix("malformed/")
)
def test_each_malformed_file_has_its_outcome(found):
    begun = time.monotonic()

    got = outcome(found.path.read_bytes())

    assert got == OUTCOMES[found.name.removeprefix("malformed/")]
    assert time.monotonic() - begun < 2


@needs_collection
def test_a_media_directory_is_no_instance():
    assert {outcome(found.path.read_bytes()) for found in rows("dicomdir")} == {"missing-uid"}


def nested(levels: int) -> bytes:
    head = element(0x0040A730, "SQ", length=UNDEFINED) + item(length=UNDEFINED)
    return head * levels + (ITEM_END + SEQUENCE_END) * levels


PIXELS = (
    element(0x00280002, "US", b"\1\0")
    + element(0x00280010, "US", b"\2\0")
    + element(0x00280011, "US", b"\2\0")
    + element(0x00280100, "US", b"\x08\0")
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", errors.NOT_DICOM, id="nothing"),
        pytest.param(b"<html>" * 100, errors.NOT_DICOM, id="a-page"),
        pytest.param(uids(), errors.NOT_DICOM, id="no-preamble"),
        pytest.param(part10(b""), errors.MISSING_UID, id="empty-data-set"),
        pytest.param(part10(uids(), syntax=""), errors.UNREADABLE, id="no-transfer-syntax"),
        pytest.param(part10(uids(x00080018="")), errors.MISSING_UID, id="empty-uid"),
        pytest.param(part10(uids(x00080018="1..2")), errors.BAD_UID, id="empty-component"),
        pytest.param(part10(uids(x0020000D="1.2/../3")), errors.BAD_UID, id="path-in-uid"),
        pytest.param(part10(uids(x0020000E="1." * 40 + "1")), errors.BAD_UID, id="long-uid"),
        pytest.param(part10(uids())[:-3], errors.TRUNCATED, id="cut-in-a-value"),
        pytest.param(part10(uids() + b"\x28\0\x10"), errors.TRUNCATED, id="cut-in-a-tag"),
        pytest.param(
            part10(uids() + element(0x7FE00010, "OW", b"\0" * 10, length=4_000_000_000)),
            errors.TRUNCATED,
            id="absurd-length",
        ),
        pytest.param(
            part10(uids() + element(0x7FE00010, "OB", item() + item(b"12"), length=UNDEFINED)),
            errors.TRUNCATED,
            id="no-sequence-delimiter",
        ),
        pytest.param(
            part10(uids() + element(0x7FE00010, "OB", b"\xff" * 64, length=UNDEFINED)),
            errors.UNREADABLE,
            id="no-fragments",
        ),
        pytest.param(
            part10(uids() + element(0x0040A730, "SQ", item(length=UNDEFINED), length=UNDEFINED)),
            errors.TRUNCATED,
            id="open-item",
        ),
        pytest.param(part10(uids() + nested(2000)), errors.UNREADABLE, id="nested-2000-deep"),
        pytest.param(
            part10(uids() + b"\0" * 100_000), errors.UNREADABLE, id="zeros-in-place-of-the-rest"
        ),
        pytest.param(
            part10(zlib.compress(uids())[2:-10], syntax=DEFLATED),
            errors.TRUNCATED,
            id="deflate-cut-off",
        ),
        pytest.param(part10(b"\xff" * 99, syntax=DEFLATED), errors.UNREADABLE, id="no-deflate"),
    ],
)
def test_what_is_wrong_is_said(data, reason):
    with pytest.raises(MalformedDicom) as refused:
        read(data)

    assert refused.value.reason == reason
    assert str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(part10(uids(), group_length=False), id="no-group-length"),
        pytest.param(part10(uids(implicit_vr=True)), id="implicit-though-declared-explicit"),
        pytest.param(part10(uids(), syntax=IMPLICIT_LE), id="explicit-though-declared-implicit"),
        pytest.param(part10(uids(order=">"), syntax=BIG_ENDIAN), id="big-endian"),
        pytest.param(part10(uids(), syntax="1.2.3.4.5"), id="unknown-syntax"),
        pytest.param(part10(uids() + b"\0" * 300), id="zero-padding"),
        pytest.param(part10(uids() + element(0xFFFCFFFC, "OB", b"\0" * 40)), id="padding-element"),
        pytest.param(part10(uids() + ITEM_END + SEQUENCE_END), id="stray-delimiters"),
        pytest.param(part10(uids() + element(0x00289999, "ZZ", b"ab")), id="unknown-vr"),
        pytest.param(part10(uids() + implicit(0x00280010, b"\2\0")), id="implicit-element"),
        pytest.param(part10(uids(x00080018="1.02.3")), id="leading-zero"),
        pytest.param(part10(uids() + nested(30)), id="nested-30-deep"),
    ],
)
def test_what_devices_send_is_read(data):
    instance = read(data)

    assert instance.study_instance_uid == "1.2.3"
    assert instance.series_instance_uid == "1.2.3.1"


def test_an_unknown_value_of_undefined_length_is_an_implicit_sequence():
    inner = implicit(0x00080100, text("CODE")) + ITEM_END
    value = item(inner, length=UNDEFINED) + SEQUENCE_END
    data = part10(uids() + element(0x00431010, "UN", value, length=UNDEFINED))

    found = read(data).attributes["00431010"]

    assert found == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["CODE"]}}]}


def test_an_item_without_its_end_ends_with_the_sequence():
    value = item(element(0x00080100, "SH", text("CODE")), length=UNDEFINED) + SEQUENCE_END
    data = part10(uids() + element(0x0040A043, "SQ", value, length=UNDEFINED) + PIXELS)

    attributes = read(data).attributes

    assert attributes["0040A043"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["CODE"]}}]
    assert attributes["00280100"]["Value"] == [8]


def test_a_broken_sequence_of_known_length_is_kept_whole_as_unknown():
    broken = b"\1\2\3\4" * 20
    data = part10(uids() + element(0x0040A730, "SQ", broken) + PIXELS)

    instance = read(data)

    assert instance.attributes["0040A730"]["vr"] == "UN"
    offset, length = instance.bulk["0040A730"]
    assert data[offset : offset + length] == broken
    assert instance.attributes["00280010"]["Value"] == [2]


def test_numbers_never_blow_up():
    data = part10(
        uids()
        + element(0x00180050, "DS", text("1e999\\nan\\1,5\\\\ 2.5 "))
        + element(0x00189073, "FD", struct.pack("<3d", float("nan"), float("inf"), 1.5))
        + element(0x00201002, "IS", text("9" * 5000))
        + element(0x00280008, "IS", text("-3"))
        + element(0x00280009, "AT", b"\x18\0\x63")
    )

    attributes = orjson.loads(orjson.dumps(read(data).attributes))

    assert attributes["00180050"]["Value"] == ["1e999", "nan", "1,5", None, 2.5]
    assert attributes["00189073"]["Value"] == ["NaN", "Infinity", 1.5]
    assert attributes["00201002"]["Value"] == ["9" * 5000]
    assert attributes["00280009"] == {"vr": "UN", "InlineBinary": "GABj"}


def test_a_deflate_bomb_is_refused_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(source, "MAX_INFLATED_BYTES", 4 * 1024 * 1024)
    bomb = uids() + element(0x7FE00010, "OW", b"\0" * 40_000_000)
    packer = zlib.compressobj(9, wbits=-15)
    data = part10(packer.compress(bomb) + packer.flush(), syntax=DEFLATED)

    with pytest.raises(MalformedDicom) as refused:
        read(data)

    assert refused.value.reason in (errors.UNREADABLE, errors.TRUNCATED)


def test_a_header_of_nothing_but_numbers_is_refused_before_it_fills_memory():
    numbers = b"".join(
        element(0x00181000 + i, "DS", text("1\\" * 32_766 + "1")) for i in range(0, 600, 2)
    )

    with pytest.raises(MalformedDicom, match="more values"):
        read(part10(uids() + numbers))


def test_a_header_without_end_is_refused():
    filler = element(0x00420010, "ST", b"x" * 65_000)

    with pytest.raises(MalformedDicom, match="larger than is accepted"):
        read(part10(uids() + filler * 1100))


@pytest.mark.parametrize("fill", [item(), item(b"ab")], ids=["empty-items", "short-items"])
def test_a_million_fragments_end_in_bounded_time(fill):
    value = fill * 1_000_010 + SEQUENCE_END
    data = part10(uids() + element(0x7FE00010, "OB", value, length=UNDEFINED))
    begun = time.monotonic()

    got = outcome(data)

    assert got == errors.UNREADABLE
    assert time.monotonic() - begun < 20


SMALL = [
    "pydicom/test_files/ct_small.dcm",
    "dcmjs/sample-sr.dcm",
    "highdicom/sr_document.dcm",
    "dicomparser/report_dfl.dcm",
    "pydicom/charset/chrh32.dcm",
    "same_uid_variants/pydicom/mr_small_bigendian.dcm",
    "pydicom/test_files/rtplan.dcm",
    "highdicom/sm_image_jpegls.dcm",
]
PRESENT = [found.path.read_bytes() for found in ROWS if found.name in SMALL]


@needs_collection
def test_the_files_to_damage_are_there():
    assert len(PRESENT) >= 6
    assert row("dcmjs/sample-sr.dcm").path.is_file()


@needs_collection
@settings(max_examples=400, deadline=2000)
@given(data=st.data())
def test_random_damage_is_a_typed_refusal_or_readable(data):
    stored = bytearray(data.draw(st.sampled_from(PRESENT)))
    end = data.draw(st.integers(0, len(stored)))
    if data.draw(st.booleans()):
        del stored[end:]
    for _ in range(data.draw(st.integers(0, 8))):
        if stored:
            position = data.draw(st.integers(0, min(len(stored), 6000) - 1))
            stored[position] = data.draw(st.sampled_from([0, 1, 0x41, 0x80, 0xFE, 0xFF]))

    assert outcome(bytes(stored)) in {
        READABLE,
        errors.NOT_DICOM,
        errors.UNREADABLE,
        errors.TRUNCATED,
        errors.BAD_UID,
        errors.MISSING_UID,
    }


def test_declared_explicit_is_the_usual_case():
    assert read(part10(uids(), syntax=EXPLICIT_LE)).transfer_syntax_uid == EXPLICIT_LE
