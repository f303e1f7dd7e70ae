"""Lossless forms give back the very pixels, for every file whose pixels can be decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from common.dicom.codecs import (
    NATIVE_TARGETS,
    TARGETS,
    NotDecodable,
    NotEncodable,
    decode_array,
    decode_frame,
    native_photometric_interpretation,
    recipe,
)
from common.dicom.codecs.decoding import CODECS, NATIVE
from common.dicom.part10 import Instance
from tests.common.dicom.codecs.test_decoding import BROKEN, frame_of, instance_of
from tests.support.dicom_files import Row, row, rows

SOURCES = [
    found
    for found in rows()
    if found.kind in ("instance", "same-uid variant")
    and (found.transfer_syntax_uid in CODECS or found.transfer_syntax_uid in NATIVE)
    and found.fields["pixels"] != "none"
    and found.fields["study_instance_uid"]
    and found.name != BROKEN
    and "parametric_map" not in found.name  # floating point pixels are of no image codec
]
# The large series are all of a kind.
SOURCES = [
    found for at, found in enumerate(SOURCES) if not found.name.startswith("dcm_qa") or at % 9 == 0
]
LOSSLESS = [uid for uid, target in TARGETS.items() if not target.lossy]
EXPLICIT = "1.2.840.10008.1.2.1"
pytestmark = pytest.mark.skipif(not SOURCES, reason="the collection of DICOM files is not here")


def native_uid(name: Row) -> str:
    """The syntax that ``read_frame`` gives: little endian where it is native."""
    return name.transfer_syntax_uid if name.transfer_syntax_uid in CODECS else EXPLICIT


def told(instance: Instance, **changed: Any) -> dict[str, Any]:
    """The header after a change of Photometric Interpretation and Planar Configuration."""
    tags = {"photometric": ("00280004", "CS"), "planar": ("00280006", "US")}
    return instance.attributes | {
        tags[name][0]: {"vr": tags[name][1], "Value": [value]} for name, value in changed.items()
    }


@pytest.mark.parametrize("name", SOURCES, ids=lambda name: name.name)
def test_every_lossless_form_gives_back_the_pixels(name: Row):
    stored, instance = instance_of(name)
    frame, source = frame_of(stored, instance), native_uid(name)
    coded = instance.attributes.get("00280004", {}).get("Value", ["MONOCHROME2"])[0]
    plain = told(instance, photometric=native_photometric_interpretation(coded))
    given = 0

    for target in LOSSLESS:
        try:
            found = recipe(instance.attributes, source, target, keep_colors=True)
        except NotEncodable:
            continue
        encoded = found.frame(frame)
        header = told(
            instance,
            photometric=found.photometric_interpretation,
            planar=int(found.by_plane),
        )
        native = decode_frame(frame, instance.attributes, source)
        expected = decode_array(native, plain, EXPLICIT)

        assert np.array_equal(decode_array(encoded, header, target), expected)
        given += 1

    bits = instance.attributes["00280100"]["Value"][0]
    assert given or bits in (1, 64) or "YBR_PARTIAL" in str(instance.attributes["00280004"])


@pytest.mark.parametrize("target", LOSSLESS)
@pytest.mark.parametrize(
    ("samples", "bits", "stored", "signed"),
    [(1, 8, 8, 0), (3, 8, 8, 0), (1, 16, 12, 0), (1, 16, 12, 1), (1, 16, 16, 1), (1, 16, 16, 0)],
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (33, 70)])
def test_noise_of_any_shape_comes_back(target, samples, bits, stored, signed, shape):
    rows_, columns = shape
    random = np.random.default_rng(7)
    low, high = (-(1 << (stored - 1)), 1 << (stored - 1)) if signed else (0, 1 << stored)
    cells = random.integers(low, high, rows_ * columns * samples)
    native = cells.astype(f"<{'i' if signed else 'u'}{bits // 8}").tobytes()
    numbers = {
        "00280002": samples, "00280010": rows_, "00280011": columns,
        "00280100": bits, "00280101": stored, "00280103": signed,
    }  # fmt: skip
    header: dict[str, Any] = {tag: {"vr": "US", "Value": [value]} for tag, value in numbers.items()}
    header["00280004"] = {"vr": "CS", "Value": ["RGB" if samples == 3 else "MONOCHROME2"]}

    found = recipe(header, EXPLICIT, target)

    header["00280004"]["Value"] = [found.photometric_interpretation]
    assert decode_frame(found.frame(native), header, target) == native


def test_lossy_jpeg_is_near():
    name = row("pydicom/test_files/examples_rgb_color.dcm")
    stored, instance = instance_of(name)
    frame = frame_of(stored, instance)

    found = recipe(instance.attributes, native_uid(name), "1.2.840.10008.1.2.4.50")
    header = told(instance, photometric=found.photometric_interpretation, planar=0)
    pixels = decode_array(found.frame(frame), header, "1.2.840.10008.1.2.4.50")

    assert found.photometric_interpretation == "YBR_FULL_422"
    expected = decode_array(frame, instance.attributes, native_uid(name))
    assert np.abs(pixels.astype(int) - expected.astype(int)).mean() < 6


def test_color_of_lossy_codestreams_becomes_rgb_unless_the_stored_header_goes_with_it():
    name = row("cornerstone/testpattern_jpeg-baseline_ybr422.dcm")
    _, instance = instance_of(name)
    source = name.transfer_syntax_uid

    assert recipe(instance.attributes, source, EXPLICIT).photometric_interpretation == "RGB"
    kept = recipe(instance.attributes, source, EXPLICIT, keep_colors=True)
    assert kept.photometric_interpretation == "YBR_FULL_422"
    jls = recipe(instance.attributes, source, "1.2.840.10008.1.2.4.80", keep_colors=True)
    assert jls.photometric_interpretation == "YBR_FULL"
    j2k = recipe(instance.attributes, source, "1.2.840.10008.1.2.4.90")
    assert j2k.photometric_interpretation == "YBR_RCT"


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("1.2.840.10008.1.2.4.102", EXPLICIT, NotDecodable),
        (EXPLICIT, "1.2.840.10008.1.2.4.102", NotEncodable),
        (EXPLICIT, "1.2.840.10008.1.2.4.50", NotEncodable),
        (EXPLICIT, "", NotEncodable),
    ],
)
def test_what_is_not_offered_is_refused_before_a_frame_is_touched(source, target, error):
    _, instance = instance_of(row("pydicom/test_files/ct_small.dcm"))

    with pytest.raises(error):
        recipe(instance.attributes, source, target)


def test_native_targets_take_anything_native():
    assert all(recipe({}, EXPLICIT, target).target is None for target in NATIVE_TARGETS)
