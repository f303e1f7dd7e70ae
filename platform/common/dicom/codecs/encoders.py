"""Pixels to codestreams. Runs in the decoder processes only: the libraries are native code.

Cells keep every bit that they have, so that what is decoded again is equal: where a cell uses more than
the stored bits (a sign that fills it, an overlay in the upper bits) it is encoded whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import imagecodecs
import jpeg_ls
import numpy as np

from common.dicom.codecs.errors import NotEncodable
from common.dicom.codecs.layout import Array, read_native
from common.dicom.codecs.spec import PixelSpec

_LOSSY_LEVEL = 90
_SAMPLES_TOGETHER = 2  # JPEG-LS interleave mode
_RLE_SEGMENTS = 15


def encode(codec: str, native: bytes, spec: PixelSpec) -> bytes:
    """The codestream of one native frame; shared colour is spread over its pixels first.

    Raises:
        NotEncodable: the codec does not take such pixels.
    """
    pixels = np.ascontiguousarray(read_native(native, spec))
    found = bytes(_ENCODERS[codec](pixels, spec))
    return found + b"\0" if len(found) % 2 else found


def _rle(pixels: Array, spec: PixelSpec) -> bytes:
    """PS3.5 Annex G: a segment for each byte of each sample, the most significant first."""
    size = pixels.dtype.itemsize
    planes = pixels.reshape(spec.rows, spec.columns, spec.samples, 1).view(np.uint8)
    segments = []
    for sample in range(spec.samples):
        for byte in reversed(range(size)):
            plane = planes[:, :, sample, byte].copy()
            segment = bytes(imagecodecs.packbits_encode(plane, axis=1))  # rows never share a run
            segments.append(segment + b"\0" * (len(segment) % 2))
    if len(segments) > _RLE_SEGMENTS:
        raise NotEncodable("RLE has no room for so many bytes in a pixel.")
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    offsets += [0] * (_RLE_SEGMENTS - len(offsets))
    return struct.pack("<16I", len(segments), *offsets) + b"".join(segments)


def _jpegls(pixels: Array, spec: PixelSpec) -> bytes:
    cells = _as_unsigned(pixels)
    bits = max(_used_bits(cells, spec), 2)
    together = _SAMPLES_TOGETHER if spec.samples > 1 else 0
    shape = spec.rows, spec.columns, spec.samples
    try:
        return bytes(jpeg_ls.encode_buffer(cells.tobytes(), *shape, bits, 0, together))
    except RuntimeError:
        # It makes room for what gets smaller; noise and very small frames do not. The other library
        # does, but names the cell's bits as precision and puts a SPIFF header in front.
        return _without_spiff(bytes(imagecodecs.jpegls_encode(cells)))


def _without_spiff(data: bytes) -> bytes:
    """The codestream without its APP8 segments, which only a file of its own has use for."""
    at = 2
    while data[at : at + 2] == b"\xff\xe8":
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:2] + data[at:]


def _jpeg_lossless(pixels: Array, spec: PixelSpec) -> bytes:
    cells = _as_unsigned(pixels)
    color = "RGB" if spec.samples > 1 else None  # in and out the same: no transformation
    bits = max(_used_bits(cells, spec), 2) if cells.dtype.itemsize > 1 else 8
    return bytes(
        imagecodecs.jpeg8_encode(
            cells,
            lossless=True,
            predictor=1,
            bitspersample=bits,
            colorspace=color,
            outcolorspace=color,
        )
    )


def _jpeg2k(pixels: Array, spec: PixelSpec) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            pixels,
            level=0,
            codecformat="J2K",
            reversible=True,
            mct=spec.is_rgb,
            resolutions=_resolutions(spec),
            bitspersample=_used_bits(pixels, spec),
            numthreads=1,
        )
    )


def _htj2k(pixels: Array, spec: PixelSpec) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, reversible=True, rgb=spec.is_rgb))


def _resolutions(spec: PixelSpec) -> int:
    """Six, or as many as halve the shorter side to no less than one pixel."""
    return min(6, min(spec.rows, spec.columns).bit_length())


def _jpeg(pixels: Array, spec: PixelSpec) -> bytes:
    if spec.samples == 1:
        return bytes(imagecodecs.jpeg8_encode(pixels, level=_LOSSY_LEVEL))
    stored = "RGB" if spec.is_rgb else "YCBCR"
    return bytes(
        imagecodecs.jpeg8_encode(
            pixels,
            level=_LOSSY_LEVEL,
            colorspace=stored,
            outcolorspace="YCBCR",
            subsampling="422",
        )
    )


def _as_unsigned(pixels: Array) -> Array:
    return pixels.view(pixels.dtype.str.replace("i", "u"))


def _used_bits(pixels: Array, spec: PixelSpec) -> int:
    """Bits stored, where all values fit into them; else the whole cell."""
    low, high = int(pixels.min()), int(pixels.max())
    half = 1 << (spec.bits_stored - 1)
    fits = -half <= low and high < half if pixels.dtype.kind == "i" else high < 2 * half
    # A cell of 16 bits whose stored bits are 8 or fewer: readers expect two bytes for each sample.
    enough = pixels.dtype.itemsize == 1 or spec.bits_stored > 8
    return spec.bits_stored if fits and enough else pixels.dtype.itemsize * 8


_ENCODERS: dict[str, Callable[[Array, PixelSpec], bytes]] = {
    "rle": _rle,
    "jpeg": _jpeg,
    "jpeg-lossless": _jpeg_lossless,
    "jpegls": _jpegls,
    "jpeg2k": _jpeg2k,
    "htj2k": _htj2k,
}


def warm_up() -> None:
    """Load every codec, before the memory is limited."""
    for name in ("jpeg8", "jpeg2k", "htj2k", "packbits"):
        getattr(imagecodecs, f"{name}_encode")
