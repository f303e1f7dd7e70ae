"""Whole instances in another transfer syntax, read back by pydicom and DCMTK."""

from __future__ import annotations

import io
import logging
import subprocess
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels import iter_pixels

from common.dicom.codecs import NotDecodable, NotEncodable
from common.dicom.codecs.decoding import CODECS, NATIVE
from common.dicom.part10 import read_instance
from common.dicom.transcode import StoredInstance, transcoding
from tests.support.dicom_files import Row, row, rows
from tests.support.services import program

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
RLE, JLS, J2K, HTJ2K = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
)
READABLE = [
    found
    for at, found in enumerate(rows())
    if found.kind in ("instance", "same-uid variant")
    and found.fields["study_instance_uid"]
    and (found.transfer_syntax_uid in NATIVE or found.transfer_syntax_uid in CODECS)
    and (not found.name.startswith("dcm_qa") or at % 9 == 0)
]
BROKEN = "pydicom/test_files/jpeg2000-embedded-sequence-delimiter.dcm"
LUT_DATA = "00283006"  # US or OW, which implicit forms do not tell
PIXEL_TAGS = ("00280004", "00280006", "00282110", "00282112", "00282114", "7FE00001", "7FE00002")
pytestmark = pytest.mark.skipif(not READABLE, reason="the collection of DICOM files is not here")


def stored_of(name: Row) -> StoredInstance:
    data = name.path.read_bytes()
    found = read_instance(io.BytesIO(data), offset=0, length=len(data))
    return StoredInstance(
        read=lambda at, size: data[at : at + size],
        size=len(data),
        transfer_syntax_uid=found.transfer_syntax_uid,
        attributes=found.attributes,
        frames=found.frames,
        bulk=found.bulk,
    )


def made(name: Row, target: str) -> bytes:
    return b"".join(transcoding(stored_of(name), target).chunks())


def pixels_of(file: Any) -> list[Any]:
    """All frames as pydicom has them; empty where it cannot."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [frame for _, frame in zip(range(3), iter_pixels(file), strict=False)]
        except (RuntimeError, NotImplementedError, ValueError, AttributeError, KeyError, OSError):
            return []


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", READABLE, ids=lambda name: name.name)
def test_native_forms_hold_every_attribute_and_pixel(name: Row, target: str):
    stored = stored_of(name)
    try:
        data = made(name, target)
    except NotDecodable:
        assert name.name == BROKEN or not stored.frames.count
        return

    found = read_instance(io.BytesIO(data), offset=0, length=len(data))

    assert found.transfer_syntax_uid == target
    assert told(found.attributes) == told(stored.attributes)
    expected = pixels_of(name.path)
    if expected and stored.pixel_key:
        again = pixels_of(io.BytesIO(data))
        assert len(again) == len(expected)
        for one, other in zip(again, expected, strict=True):
            rounding = 1 if one.ndim == 3 else 0  # their conversion of YBR to RGB
            assert np.abs(one.astype(np.float64) - other.astype(np.float64)).max() <= rounding


def told(attributes: Any) -> Any:
    """What does not depend on the encoding: no places of bulk data, no unknown VRs of private elements."""
    found = {}
    for key, entry in attributes.items():
        if key in PIXEL_TAGS or key == LUT_DATA:
            continue
        if int(key[3], 16) % 2 and int(key[4:6], 16) != 0:
            continue  # the VR of a private element is lost in implicit form
        if entry["vr"] in ("UN", "OB", "OW", "OF", "OD", "OL", "OV") or "BulkDataURI" in entry:
            found[key] = None
        elif entry["vr"] == "SQ":
            found[key] = [told(item) for item in entry.get("Value", [])]
        else:
            found[key] = entry.get("Value")
    return found


@pytest.mark.parametrize("target", [RLE, JLS, J2K, HTJ2K])
@pytest.mark.parametrize(
    "name",
    [found for found in READABLE if found.fields["pixels"] != "none" and found.name != BROKEN],
    ids=lambda name: name.name,
)
def test_lossless_forms_hold_every_pixel(name: Row, target: str):
    try:
        data = made(name, target)
    except (NotEncodable, NotDecodable):
        return

    native = made(name, EXPLICIT)

    expected, again = pixels_of(io.BytesIO(native)), pixels_of(io.BytesIO(data))
    header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    # Floating point pixels are never compressed.
    assert header.file_meta.TransferSyntaxUID == (target if "BitsStored" in header else EXPLICIT)
    assert len(again) == len(expected)
    for one, other in zip(again, expected, strict=True):
        if one.dtype.kind == "f":
            assert np.array_equal(one, other)
        else:  # pydicom extends the sign of native pixels only
            different = one.astype(np.int64) ^ other.astype(np.int64)
            assert not np.any(different & ((1 << header.BitsStored) - 1))


DCMTK = {JLS: "dcmdjpls", RLE: "dcmdrle"}


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT, RLE, JLS, J2K, HTJ2K])
@pytest.mark.parametrize(
    "one",
    [
        "nema-wg04/ct1_rle.dcm",
        "pydicom/test_files/ct_small.dcm",
        "pydicom/test_files/examples_rgb_color.dcm",
        "dcm_qa_ts/5.dcm",
        "pydicom/test_files/examples_ybr_color.dcm",
        "dicomparser/ct1_unc.explicit_big_endian.dcm",
        "pydicom/test_files/image_dfl.dcm",
        "nema-wg04/vl1_j2kr.dcm",
    ],
)
def test_dcmtk_reads_it(one: str, target: str, tmp_path: Path):
    program("dcmtk", "DCMDRLE_BIN", "dcmdrle")
    file, plain = tmp_path / "made.dcm", tmp_path / "plain.dcm"
    file.write_bytes(made(row(one), target))

    dumped = subprocess.run(["dcmdump", "-q", str(file)], capture_output=True, check=False)

    assert dumped.returncode == 0
    assert not dumped.stderr
    if target in DCMTK:
        subprocess.run([DCMTK[target], str(file), str(plain)], check=True)
        native = pixels_of(io.BytesIO(made(row(one), EXPLICIT)))
        for theirs, ours in zip(pixels_of(plain), native, strict=True):
            assert np.array_equal(theirs, ours)


def test_lossless_forms_keep_the_uid_and_lossy_ones_get_one_of_their_own():
    name = row("pydicom/test_files/examples_rgb_color.dcm")
    original = pydicom.dcmread(name.path, stop_before_pixels=True)

    lossless = pydicom.dcmread(io.BytesIO(made(name, J2K)))
    lossy = pydicom.dcmread(io.BytesIO(made(name, "1.2.840.10008.1.2.4.50")))
    again = pydicom.dcmread(io.BytesIO(made(name, "1.2.840.10008.1.2.4.50")))

    assert lossless.SOPInstanceUID == original.SOPInstanceUID
    assert lossless.PhotometricInterpretation == "YBR_RCT"
    assert lossy.SOPInstanceUID == lossy.file_meta.MediaStorageSOPInstanceUID
    assert lossy.SOPInstanceUID == again.SOPInstanceUID != original.SOPInstanceUID
    assert lossy.LossyImageCompression == "01"
    assert lossy.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(lossy.LossyImageCompressionRatio) > 1
    assert lossy.ImageType[0] == "DERIVED"
    assert lossy.PhotometricInterpretation == "YBR_FULL_422"
    assert lossy.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID


def test_what_was_lossy_says_so_after_it_is_decoded():
    name = row("cornerstone/testpattern_jpeg-baseline_ybr422.dcm")

    found = pydicom.dcmread(io.BytesIO(made(name, EXPLICIT)), stop_before_pixels=True)

    assert found.PhotometricInterpretation == "RGB"
    assert found.LossyImageCompression == "01"


def test_a_study_of_many_frames_is_held_a_frame_at_a_time():
    name = (
        row("pydicom/test_files/emri_small.dcm")
        if any(found.name == "pydicom/test_files/emri_small.dcm" for found in rows())
        else max(
            (found for found in READABLE if found.fields["frames"].isdigit()),
            key=lambda found: int(found.fields["frames"]),
        )
    )
    stored = stored_of(name)
    once = sum(map(len, transcoding(stored, EXPLICIT).chunks()))

    tracemalloc.start()
    for _ in transcoding(stored, EXPLICIT).chunks():
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < max(once // 2, 3 * 2**20)


def test_damaged_frames_are_refused_before_the_first_byte():
    stored = stored_of(row("nema-wg04/ct1_jlsl.dcm"))
    offset, _ = stored.bulk["7FE00010"]
    damaged = StoredInstance(
        read=lambda at, size: bytes(size) if at > offset + 8 else stored.read(at, size),
        size=stored.size,
        transfer_syntax_uid=stored.transfer_syntax_uid,
        attributes=stored.attributes,
        frames=stored.frames,
        bulk=stored.bulk,
    )

    with pytest.raises(NotDecodable):
        next(transcoding(damaged, EXPLICIT).chunks())
