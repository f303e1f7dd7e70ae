"""Codestreams to pixels and back. Runs in the decoder processes only: the libraries are native code."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np

from common.dicom.codecs import layout
from common.dicom.codecs.errors import NotDecodable
from common.dicom.codecs.jpeg_markers import is_ybr_coded, jpeg_colors
from common.dicom.codecs.layout import Array
from common.dicom.codecs.spec import PixelSpec


def decode(codec: str, data: bytes, spec: PixelSpec, *, rgb: bool) -> bytes:
    """One frame, native, as the header describes it; ``rgb``: in RGB in place of any YBR.

    Raises:
        NotDecodable: the codestream is another picture than the header says. What the libraries raise
            comes as it is.
    """
    pixels = _DECODERS[codec](data, spec, rgb)
    if isinstance(pixels, bytes):
        return pixels
    pixels = layout.fit_cells(pixels, spec)
    if rgb and spec.is_ybr and codec not in _DECODES_TO_RGB:
        pixels = layout.rgb_of_ybr(pixels, spec)
    elif not rgb and spec.is_ybr and codec == "jpegxl":
        pixels = layout.ybr_of_rgb(pixels, spec)
    return layout.write_native(pixels, spec.in_rgb() if rgb else spec)


_DECODES_TO_RGB = frozenset({"jpeg", "jpegxl"})


def _jpeg(data: bytes, spec: PixelSpec, rgb: bool) -> Array:
    if spec.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    colors = jpeg_colors(data)
    if colors.lossless:  # never transformed
        pixels = imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")
        return layout.rgb_of_ybr(pixels, spec) if rgb and spec.is_ybr else np.asarray(pixels)
    want_rgb = rgb or not spec.is_ybr
    if not is_ybr_coded(colors, spec.photometric_interpretation):
        pixels = imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")
        return np.asarray(pixels) if want_rgb else layout.ybr_of_rgb(pixels, spec)
    wanted = "RGB" if want_rgb else "YCBCR"
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace=wanted))


def _rle(data: bytes, spec: PixelSpec, rgb: bool) -> Array | bytes:
    """PS3.5 Annex G: samples by plane, each byte of a cell in a segment of its own."""
    if spec.bits_allocated == 1:  # one segment of packed bits
        raw = bytes(imagecodecs.dicomrle_decode(data, "u1"))
        return _of_size(raw, spec)
    unsigned = np.dtype(f"<u{spec.bits_allocated // 8}")
    cells = np.frombuffer(imagecodecs.dicomrle_decode(data, unsigned), unsigned)
    pixels = spec.rows * spec.columns
    if cells.size < pixels * spec.samples:
        raise NotDecodable("The codestream holds less than the header says.")
    planes = cells[: pixels * spec.samples].reshape(spec.samples, spec.rows, spec.columns)
    found = planes.transpose(1, 2, 0) if spec.samples > 1 else planes[0]
    return found.view(layout.dtype_of(spec)) if spec.signed else found


def _deflated(data: bytes, spec: PixelSpec, rgb: bool) -> Array | bytes:
    """Deflated Image Frame Compression (PS3.5 section A.4.13): the native frame, deflated."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    raw = inflater.decompress(data, spec.native_bytes + 1)
    if not (rgb and spec.is_ybr):
        return _of_size(raw, spec)
    return layout.read_native(raw, spec)


def _of_size(raw: bytes, spec: PixelSpec) -> bytes:
    if len(raw) < spec.native_bytes:
        raise NotDecodable("The codestream holds less than the header says.")
    return raw[: spec.native_bytes]


def _jpegls(data: bytes, spec: PixelSpec, rgb: bool) -> Array:
    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg2k(data: bytes, spec: PixelSpec, rgb: bool) -> Array:
    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=1))


def _htj2k(data: bytes, spec: PixelSpec, rgb: bool) -> Array:
    # Left alone it gives planes where there is no colour transformation, and else samples together.
    return np.asarray(imagecodecs.htj2k_decode(data, planar=False))


def _jpegxl(data: bytes, spec: PixelSpec, rgb: bool) -> Array:
    return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1))


_DECODERS: dict[str, Callable[[bytes, PixelSpec, bool], Any]] = {
    "rle": _rle,
    "jpeg": _jpeg,
    "jpegls": _jpegls,
    "jpeg2k": _jpeg2k,
    "htj2k": _htj2k,
    "jpegxl": _jpegxl,
    "deflated": _deflated,
}


def warm_up() -> None:
    """Load every codec, before the memory is limited."""
    for name in ("jpeg8", "jpegls", "jpeg2k", "htj2k", "jpegxl", "dicomrle"):
        getattr(imagecodecs, f"{name}_decode")
