"""One frame of any decodable transfer syntax as native pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from common.dicom.codecs.errors import NotDecodable
from common.dicom.codecs.layout import Array, read_native, rgb_of_ybr
from common.dicom.codecs.pool import decoder_pool
from common.dicom.codecs.spec import PixelSpec
from common.dicom.codestream import pixels_said

_JPEG = "jpeg"
# Which codec reads the frames of a compressed transfer syntax.
CODECS: dict[str, str] = {
    str(RLELossless): "rle",
    str(JPEGBaseline8Bit): _JPEG,
    str(JPEGExtended12Bit): _JPEG,
    "1.2.840.10008.1.2.4.53": _JPEG,  # Spectral Selection, Non-Hierarchical (retired)
    "1.2.840.10008.1.2.4.55": _JPEG,  # Full Progression, Non-Hierarchical (retired)
    str(JPEGLossless): _JPEG,
    str(JPEGLosslessSV1): _JPEG,
    str(JPEGLSLossless): "jpegls",
    str(JPEGLSNearLossless): "jpegls",
    str(JPEG2000Lossless): "jpeg2k",
    str(JPEG2000): "jpeg2k",
    str(JPEG2000MCLossless): "jpeg2k",
    str(JPEG2000MC): "jpeg2k",
    str(HTJ2KLossless): "htj2k",
    str(HTJ2KLosslessRPCL): "htj2k",
    str(HTJ2K): "htj2k",
    "1.2.840.10008.1.2.4.110": "jpegxl",  # JPEG XL Lossless
    "1.2.840.10008.1.2.4.111": "jpegxl",  # JPEG XL JPEG Recompression
    "1.2.840.10008.1.2.4.112": "jpegxl",  # JPEG XL
    "1.2.840.10008.1.2.8.1": "deflated",  # Deflated Image Frame Compression
}
# Native frames, as ``common.dicom.frames.read_frame`` gives them: little endian, inflated.
NATIVE = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
        "1.2.840.113619.5.2",
    }
)
_MOST_GROWTH = (
    2  # lossless compression of noise grows a little; what is twice its pixels holds something else
)
_SMALL_BYTES = 2**20


def can_decode(transfer_syntax_uid: str) -> bool:
    """Whether frames of this transfer syntax become native ones here."""
    return transfer_syntax_uid in NATIVE or transfer_syntax_uid in CODECS


def decode_frame(
    data: bytes, attributes: Mapping[str, Any], transfer_syntax_uid: str, *, rgb: bool = False
) -> bytes:
    """One native frame in little endian, as the header in the DICOM JSON model describes it.

    That is with its Planar Configuration and its YBR_FULL or YBR_FULL_422; YBR_ICT and YBR_RCT, which name
    transformations inside of a codestream, become RGB. ``rgb``: any YBR becomes RGB, the samples of a pixel
    together. Signed cells are filled with their sign. ``native_photometric_interpretation`` names the result.

    Raises:
        NotDecodable: with the reason.
        DecodersBusy: too many others are being decoded.
    """
    if transfer_syntax_uid in NATIVE:
        return _native_in_rgb(data, attributes) if rgb else data
    codec = CODECS.get(transfer_syntax_uid)
    if codec is None:
        name = UID(transfer_syntax_uid).name if transfer_syntax_uid else "unknown"
        raise NotDecodable(f"Frames in the transfer syntax {name} cannot be decoded here.")
    spec = PixelSpec.of(attributes)
    require_plausible(data, spec)
    job = {"decode": codec, "spec": spec.to_json(), "rgb": rgb}
    return decoder_pool().run(job, data, most_bytes=rgb_bytes(spec) if rgb else spec.native_bytes)


def decode_array(data: bytes, attributes: Mapping[str, Any], transfer_syntax_uid: str) -> Array:
    """(rows, columns) or, in RGB, (rows, columns, samples) of one frame, ready to be shown.

    Raises:
        NotDecodable: with the reason.
        DecodersBusy: too many others are being decoded.
    """
    spec = PixelSpec.of(attributes)
    if transfer_syntax_uid in NATIVE:
        pixels = read_native(data, spec)
        return rgb_of_ybr(pixels, spec) if spec.is_ybr else pixels
    native = decode_frame(data, attributes, transfer_syntax_uid, rgb=True)
    return read_native(native, spec.in_rgb())


def native_photometric_interpretation(name: str, *, rgb: bool = False) -> str:
    """What ``decode_frame`` gives for pixels that are stored compressed with this interpretation."""
    if name in ("YBR_ICT", "YBR_RCT") or (rgb and name.startswith(("YBR_FULL", "YBR_PARTIAL"))):
        return "RGB"
    return name


def require_plausible(data: bytes, spec: PixelSpec) -> None:
    """Refuse what a decoder would make too much room for, before one is asked.

    Raises:
        NotDecodable: the codestream says another size than the header, or is far too long.
    """
    said = pixels_said(data)
    if said and said != spec.rows * spec.columns:
        raise NotDecodable("The codestream says another size than the header.")
    if len(data) > _MOST_GROWTH * spec.native_bytes + _SMALL_BYTES:
        raise NotDecodable("The codestream is far longer than its pixels.")


def rgb_bytes(spec: PixelSpec) -> int:
    """Size of a native frame after a conversion to RGB."""
    return spec.in_rgb().native_bytes


def _native_in_rgb(data: bytes, attributes: Mapping[str, Any]) -> bytes:
    spec = PixelSpec.of(attributes)
    if not spec.is_ybr:
        return data
    return np.ascontiguousarray(rgb_of_ybr(read_native(data, spec), spec)).tobytes()
