"""One frame's bytes as an array, colours as red, green and blue."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian

from common.dicomweb.codestream import pixels_said
from common.dicomweb.render_color import rgb_of_ybr, to_8_bit
from common.dicomweb.render_source import Array, Source, even
from common.dicomweb.server import NotAcceptable

MAX_SAMPLES = 64 * 2**20  # of one frame: some 8,000 by 8,000
LARGE_SAMPLES = 16 * 2**20  # from here on a frame takes hundreds of megabytes to render

_NOTHING_TO_SHOW = "This instance has no picture that can be shown."
_WORDS = {8: "u1", 16: "<u2", 32: "<u4", 64: "<u8"}
_SIGNED_WORDS = {32: "<i4", 64: "<i8"}  # narrower ones are read by their stored bits
_FLOATS = {32: "<f4", 64: "<f8"}


def require_samples(source: Source) -> int:
    """Rows, columns and samples of a pixel, multiplied.

    Raises:
        NotAcceptable: there is no picture, or one that nobody can render.
    """
    rows, columns, samples = source.rows, source.columns, source.samples_per_pixel
    if rows < 1 or columns < 1 or samples not in {1, 3, 4}:
        raise NotAcceptable(_NOTHING_TO_SHOW)
    if rows * columns * samples > MAX_SAMPLES:
        raise NotAcceptable(f"A frame of {columns} by {rows} is too large to be rendered here.")
    return rows * columns * samples


def decoded(source: Source, frame: bytes, transfer_syntax_uid: str) -> Array:
    """Rows by columns; colour ones by 3 channels of 8 bits. Integers of up to 16 bits come as unsigned cells.

    Raises:
        NotAcceptable: the frame cannot be decoded here.
    """
    require_samples(source)
    if transfer_syntax_uid == ExplicitVRLittleEndian:  # all frames of native pixels come in it
        pixels = _native(source, frame)
        if not source.is_color:
            return pixels
        return rgb_of_ybr(to_8_bit(pixels[..., :3], source.bits_stored), source.photometric)
    pixels = _compressed(source, frame, transfer_syntax_uid)
    if source.is_color:
        return to_8_bit(pixels[..., :3], source.bits_stored)
    return pixels.view(_WORDS[pixels.dtype.itemsize * 8]) if pixels.itemsize < 4 else pixels


def _native(source: Source, frame: bytes) -> Array:
    rows, columns, samples = source.rows, source.columns, source.samples_per_pixel
    count, allocated = rows * columns * samples, source.bits_allocated
    if allocated == 1:
        cells: Array = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
    elif allocated in _WORDS:
        words = _FLOATS if source.is_float else _WORDS
        if source.is_signed and not source.is_float:
            words = words | _SIGNED_WORDS
        if allocated not in words:
            raise NotAcceptable(_NOTHING_TO_SHOW)
        cells = np.frombuffer(frame[: len(frame) - len(frame) % (allocated // 8)], words[allocated])
    else:
        raise NotAcceptable(f"Pixels of {allocated} bits cannot be decoded here.")
    if source.photometric == "YBR_FULL_422" and samples == 3 and columns % 2 == 0:
        return _with_all_chrominance(cells[: count // 3 * 2], rows, columns)
    if cells.size < count:
        raise NotAcceptable("The frame is shorter than its number of pixels: it cannot be decoded.")
    cells = cells[:count]
    if samples == 1:
        return cells.reshape(rows, columns)
    if source.whole("00280006") == 1:  # one plane after the other
        return cells.reshape(samples, rows, columns).transpose(1, 2, 0)
    return cells.reshape(rows, columns, samples)


def _with_all_chrominance(cells: Array, rows: int, columns: int) -> Array:
    """Two luminances, one blue, one red chrominance for each pair (PS3.3 C.7.6.3.1.2)."""
    if cells.size < rows * columns * 2:
        raise NotAcceptable("The frame is shorter than its number of pixels: it cannot be decoded.")
    pairs = cells.reshape(rows, columns // 2, 4)
    whole = np.empty((rows, columns // 2, 2, 3), cells.dtype)
    whole[..., 0] = pairs[..., :2]
    whole[..., 1], whole[..., 2] = pairs[..., 2:3], pairs[..., 3:4]
    return whole.reshape(rows, columns, 3)


def _compressed(source: Source, frame: bytes, transfer_syntax_uid: str) -> Array:
    uid = UID(transfer_syntax_uid)
    declared = source.rows * source.columns * source.samples_per_pixel
    if pixels_said(frame) * source.samples_per_pixel > max(declared, LARGE_SAMPLES):
        # Decoders make room for what the stream says, whatever the header says; and who renders
        # large frames a few at a time knows the header only.
        raise NotAcceptable("The compressed frame says it is larger than is rendered here.")
    options: dict[str, Any] = {
        "rows": source.rows,
        "columns": source.columns,
        "samples_per_pixel": source.samples_per_pixel,
        "photometric_interpretation": source.photometric,
        "bits_allocated": source.bits_allocated,
        "bits_stored": source.bits_stored,
        "pixel_representation": int(source.is_signed),
        "planar_configuration": source.whole("00280006"),
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    try:
        decoder = get_decoder(uid)
        pixels, _ = decoder.as_array(encapsulate([even(frame)]), index=0, **options)
    except Exception as error:  # codecs raise what they like on bytes from outside
        raise NotAcceptable(
            f"Frames in the transfer syntax {uid.name} cannot be decoded here: "
            "retrieve the instance or its frames instead."
        ) from error
    return np.ascontiguousarray(pixels)
