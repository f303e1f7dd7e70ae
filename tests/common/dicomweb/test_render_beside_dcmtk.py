"""Pictures of the whole collection beside those of DCMTK and pydicom, which share no code with ours."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from common.dicom.frames import read_frame
from common.dicom.part10 import Instance, read_instance
from common.dicomweb.render import Picture, render
from common.dicomweb.render_grey import own_window
from common.dicomweb.render_source import Source
from common.errors import DomainError
from tests.support import dicom_files
from tests.support.services import program

Pixels = npt.NDArray[Any]

# DCMTK cuts off where we round (to the nearest shade), so most pictures differ by at most one.
MOST_MEAN, MOST, MOST_OF_COLOR = 0.8, 1, 2
# Where the pictures rightly differ, each reviewed by eye.
REVIEWED = {
    "dcm_qa_enh/siemens_xa10/im_0027_fmap.dcm": "rescale in a functional group, which dcm2pnm passes over",
    "dicomparser/ct1_unc.explicit_big_endian.dcm": "no window: padding is left out of the reach (PS3.3 C.7.5.1.1.2)",
    "nema-wg04/ct1_jlsl.dcm": "the same",
    "nema-wg04/ct1_jpll.dcm": "the same",
    "nema-wg04/ct1_rle.dcm": "the same",
    "same_uid_variants/dicomparser/ct1_unc.fragmented_bot_jpeg_ls.80.dcm": "the same",
    "same_uid_variants/dicomparser/ct1_unc.fragmented_no_bot_jpeg_ls.80.dcm": "the same",
    "same_uid_variants/dicomparser/ct1_unc.not_fragmented_bot_jpeg_ls.80.dcm": "the same",
    "highdicom/seg_image_ct_binary.dcm": "all pixels 0: black here, white there",
    "same_uid_variants/pydicom/rtdose_expb.dcm": "32-bit big endian, which dcm2pnm swaps as 16-bit words",
    "same_uid_variants/pydicom/rtdose_expb_1frame.dcm": "the same",
}
JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}


def pictured() -> list[dicom_files.Row]:
    return [row for row in dicom_files.rows() if row.kind != "dicomdir" and row.fields["pixels"]]


def shown(row: dicom_files.Row) -> tuple[Instance, int, Pixels] | None:
    """The header, the middle frame's number and its picture; None where there is none."""
    data = row.path.read_bytes()
    try:
        header = read_instance(io.BytesIO(data), offset=0, length=len(data))
    except DomainError:
        return None
    frames = header.frames
    if not frames.count:
        return None
    number = (frames.count + 1) // 2
    native = frames.kind != "encapsulated"

    def bulk(uri: str) -> bytes:
        offset, length = header.bulk[uri.rpartition("/bulkdata/")[2]]
        return data[offset : offset + length]

    try:
        picture = render(
            header.attributes,
            read_frame(frames, number, lambda offset, length: data[offset : offset + length]),
            Picture(media_type="image/png"),
            transfer_syntax_uid="1.2.840.10008.1.2.1" if native else header.transfer_syntax_uid,
            number=number,
            bulk=bulk,
        )
    except DomainError:
        return None
    return header, number, np.asarray(Image.open(io.BytesIO(picture)))


def shown_by_dcmtk(
    row: dicom_files.Row, header: Instance, number: int, path: Path
) -> Pixels | None:
    name = "dcml2pnm" if header.transfer_syntax_uid in JPEG_LS else "dcmj2pnm"
    tool = program("dcmtk", f"{name.upper()}_BIN", name)
    source = Source(header.attributes, number)
    window = own_window(source)
    if window is not None:
        said = ["+Ww", str(window.center), str(window.width)]
        said += ["+Wfs"] if window.function == "sigmoid" else []
    else:
        said = ["+Wl", "1"] if source.item("00283010") else ["+Wm"]
    if not source.photometric.startswith("MONOCHROME"):
        said = []
    command = [str(tool), "-O", "+F", str(number), *said, str(row.path), str(path)]
    path.unlink(missing_ok=True)
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if done.returncode or not path.exists():
        return None
    return np.asarray(Image.open(path))


def test_pictures_are_those_of_dcmtk(tmp_path: Path) -> None:
    compared, differing = 0, {}
    for row in pictured():
        ours = shown(row)
        theirs = ours and shown_by_dcmtk(row, ours[0], ours[1], tmp_path / "picture.pnm")
        if ours is None or theirs is None:
            continue
        compared += 1
        picture = ours[2]
        if picture.shape == theirs.shape:
            apart = np.abs(picture.astype(int) - theirs.astype(int))
            most = MOST if picture.ndim == 2 else MOST_OF_COLOR
            if apart.max() <= most and apart.mean() <= MOST_MEAN:
                continue
        differing[row.name] = picture.shape
    assert set(differing) == set(REVIEWED) & {row.name for row in pictured()}
    assert compared > 300


def test_pictures_of_jpeg_2000_are_those_of_pydicom() -> None:
    compared = 0
    for row in pictured():
        if row.transfer_syntax_uid not in JPEG_2000 or row.kind == "malformed":
            continue
        ours = shown(row)
        dataset = pydicom.dcmread(row.path, force=True)
        if ours is None or dataset.get("SamplesPerPixel") != 1 or "WindowCenter" not in dataset:
            continue
        pixels = apply_modality_lut(dataset.pixel_array, dataset)
        values = apply_voi_lut(pixels, dataset).astype(float)
        low, high = float(pixels.min()), float(pixels.max())
        if high <= low or values.max() <= values.min():
            continue
        # pydicom's window reaches over the range of the stored bits: brought back to 0 to 255.
        ends = apply_voi_lut(np.array([[-1e9, 1e9]]), dataset)[0]
        expected = (values - ends[0]) / (ends[1] - ends[0]) * 255
        compared += 1
        assert np.abs(ours[2].astype(float) - expected).max() <= 2, row.name
    if not pictured():
        pytest.skip("the DICOM collection is not on this machine")
    assert compared >= 5
