"""Native pixels of every transfer syntax, equal to what other libraries decode (PS3.5 Annex A)."""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

import numpy as np
import pytest
from pydicom.pixels import iter_pixels

from common.dicom.codecs import (
    NotDecodable,
    can_decode,
    decode_array,
    decode_frame,
    native_photometric_interpretation,
)
from common.dicom.codecs.decoding import CODECS
from common.dicom.codecs.spec import PixelSpec
from common.dicom.frames import read_frame
from common.dicom.part10 import Instance, read_instance
from tests.support.dicom_files import Row, row, rows

COMPRESSED = [
    found
    for found in rows()
    if found.kind in ("instance", "same-uid variant")
    and found.transfer_syntax_uid in CODECS
    and found.fields["study_instance_uid"]
]
# Its codestream ends where the fragment holds the bytes of a delimiter: nobody can decode the rest.
BROKEN = "pydicom/test_files/jpeg2000-embedded-sequence-delimiter.dcm"
REVERSIBLE = {"ct1": "cornerstone/ct1_j2kr.dcm", "mr1": "nema-wg04/mr1_j2kr.dcm"}
pytestmark = pytest.mark.skipif(not COMPRESSED, reason="the collection of DICOM files is not here")


def instance_of(name: Row) -> tuple[bytes, Instance]:
    stored = name.path.read_bytes()
    return stored, read_instance(io.BytesIO(stored), offset=0, length=len(stored))


def frame_of(stored: bytes, instance: Instance, number: int = 1) -> bytes:
    return read_frame(instance.frames, number, lambda at, size: stored[at : at + size])


def of_pydicom(name: Row, index: int) -> Any:
    """The pixels that pydicom and its plugins decode; None where they do not."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return next(iter(iter_pixels(name.path, indices=[index])))
        except (RuntimeError, NotImplementedError, ValueError, AttributeError):
            return None


@pytest.mark.parametrize("name", COMPRESSED, ids=lambda name: name.name)
def test_pixels_are_those_of_pydicom(name: Row):
    stored, instance = instance_of(name)
    if name.name == BROKEN:
        with pytest.raises(NotDecodable):
            decode_array(frame_of(stored, instance), instance.attributes, name.transfer_syntax_uid)
        return

    for index in range(min(instance.frames.count, 2)):
        frame = frame_of(stored, instance, index + 1)
        pixels = decode_array(frame, instance.attributes, name.transfer_syntax_uid)
        native = decode_frame(frame, instance.attributes, name.transfer_syntax_uid)

        assert len(native) == PixelSpec.of(instance.attributes).native_bytes
        expected = of_pydicom(name, index)
        if expected is not None:
            assert pixels.shape == expected.shape
            # Their conversion of YBR to RGB rounds at another place.
            lossy_color = 1 if pixels.ndim == 3 else 0
            difference = np.abs(pixels.astype(np.int64) - expected.astype(np.int64))
            assert difference.max() <= lossy_color


@pytest.mark.parametrize("form", ["rle", "j2k", "deflate"])
@pytest.mark.parametrize("stem", ["liver", "liver_nonbyte_aligned"])
def test_one_bit_pixels_come_back_packed_as_their_native_sibling_has_them(stem, form):
    compressed = row(f"pydicom-data/{stem}_{form}.dcm")
    sibling = next(found for found in rows() if found.name.endswith(f"/{stem}.dcm"))
    native, first = instance_of(sibling)
    stored, instance = instance_of(compressed)

    for number in range(1, instance.frames.count + 1):
        found = decode_frame(
            frame_of(stored, instance, number), instance.attributes, compressed.transfer_syntax_uid
        )
        assert found == frame_of(native, first, number)


@pytest.mark.parametrize(
    "one", ["ct1_rle", "ct1_jpll", "ct1_jlsl", "mr1_rle", "mr1_jpll", "mr1_jlsl"]
)
def test_lossless_forms_of_one_image_are_the_same_bytes(one):
    found = {}
    for name in (row(f"nema-wg04/{one}.dcm"), row(REVERSIBLE[one[:3]])):
        stored, instance = instance_of(name)
        frame = frame_of(stored, instance)
        found[name.name] = decode_frame(frame, instance.attributes, name.transfer_syntax_uid)

    assert len(set(found.values())) == 1


def test_native_frames_are_given_as_they_are():
    attributes = {"00280010": {"vr": "US", "Value": [2]}, "00280011": {"vr": "US", "Value": [2]}}

    assert decode_frame(b"abcd", attributes, "1.2.840.10008.1.2.1") == b"abcd"


def test_ybr_of_a_codestream_stays_as_the_header_says_or_becomes_rgb():
    name = row("cornerstone/testpattern_jpeg-baseline_ybr422.dcm")
    stored, instance = instance_of(name)
    frame = frame_of(stored, instance)
    spec = PixelSpec.of(instance.attributes)

    shared = decode_frame(frame, instance.attributes, name.transfer_syntax_uid)
    rgb = decode_frame(frame, instance.attributes, name.transfer_syntax_uid, rgb=True)

    assert len(shared) == spec.rows * spec.columns * 2
    assert len(rgb) == spec.rows * spec.columns * 3
    from_shared = decode_array(shared, instance.attributes, "1.2.840.10008.1.2.1")
    direct = np.frombuffer(rgb, np.uint8).reshape(from_shared.shape)
    # Sharp edges in the test pattern move by their colour only.
    assert np.abs(from_shared.astype(int) - direct.astype(int)).mean() < 6
    assert native_photometric_interpretation("YBR_FULL_422") == "YBR_FULL_422"
    assert native_photometric_interpretation("YBR_FULL_422", rgb=True) == "RGB"
    assert native_photometric_interpretation("YBR_RCT") == "RGB"


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.102", "1.2.3.4", ""])
def test_what_cannot_be_decoded_is_said(uid):
    assert not can_decode(uid)
    with pytest.raises(NotDecodable, match="cannot be decoded here"):
        decode_frame(b"", {}, uid)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("00280010", 0, "shape"),
        ("00280010", "x", "shape"),
        ("00280002", 2, "shape"),
        ("00280100", 12, "how many bits"),
        ("00280101", 17, "how many bits"),
        ("00280011", 2**40, "larger"),
    ],
)
def test_headers_that_describe_no_picture_are_refused(tag, value, said):
    stored, instance = instance_of(row("nema-wg04/ct1_rle.dcm"))
    attributes = instance.attributes | {tag: {"vr": "US", "Value": [value]}}

    with pytest.raises(NotDecodable, match=said):
        decode_frame(frame_of(stored, instance), attributes, "1.2.840.10008.1.2.5")


@pytest.mark.parametrize("name", COMPRESSED[::4], ids=lambda name: name.name)
def test_cut_and_damaged_codestreams_are_refused_or_drawn_but_never_hang(name: Row):
    stored, instance = instance_of(name)
    frame = frame_of(stored, instance)
    size = PixelSpec.of(instance.attributes).native_bytes

    for damaged in (
        frame[: len(frame) // 2],
        frame[:20],
        b"",
        frame[:100] + bytes(200) + frame[300:],
        bytes(len(frame)),
    ):
        try:
            found = decode_frame(damaged, instance.attributes, name.transfer_syntax_uid)
        except NotDecodable:
            continue
        assert len(found) == size  # some decoders fill what is missing


@pytest.mark.parametrize("name", rows("malformed"), ids=lambda name: name.name)
def test_hostile_files_are_refused_or_drawn(name: Row):
    try:
        stored, instance = instance_of(name)
    except Exception:  # noqa: BLE001 - refused on arrival: test_malformed
        return
    for number in range(1, min(instance.frames.count, 3) + 1):
        try:
            decode_array(
                frame_of(stored, instance, number),
                instance.attributes,
                instance.transfer_syntax_uid,
            )
        except NotDecodable:
            continue
