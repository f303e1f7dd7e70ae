"""One frame's bytes as an array, colours as red, green and blue."""

from __future__ import annotations

import numpy as np

from common.dicom.codecs import NotDecodable, decode_array
from common.dicomweb.render_source import Array, Source
from common.dicomweb.server import NotAcceptable

MAX_SAMPLES = 64 * 2**20  # of one frame: some 8,000 by 8,000

_FLOATS = {32: "<f4", 64: "<f8"}


def require_samples(source: Source) -> int:
    """Rows, columns and samples of a pixel, multiplied.

    Raises:
        NotAcceptable: there is no picture, or one that nobody can render.
    """
    rows, columns, samples = source.rows, source.columns, source.samples_per_pixel
    if rows < 1 or columns < 1 or samples not in {1, 3, 4}:
        raise NotAcceptable("This instance has no picture that can be shown.")
    if rows * columns * samples > MAX_SAMPLES:
        raise NotAcceptable(f"A frame of {columns} by {rows} is too large to be rendered here.")
    return rows * columns * samples


def decoded(source: Source, frame: bytes, transfer_syntax_uid: str) -> Array:
    """Rows by columns, of colours by 3 channels of 8 bits. Integers of up to 16 bits come as unsigned cells.

    Raises:
        NotAcceptable: the frame cannot be decoded here; the text says why.
        DecodersBusy: too many others are being decoded.
    """
    require_samples(source)
    if source.is_float:
        return _floats(source, frame)
    try:
        pixels = decode_array(frame, source.attributes, transfer_syntax_uid)
    except NotDecodable as error:
        raise NotAcceptable(f"The picture cannot be decoded here. {error.message}") from error
    if source.is_color:
        return to_8_bit(pixels[..., :3], source.bits_stored)
    narrow = pixels.dtype.kind == "i" and pixels.dtype.itemsize <= 2
    return pixels.view(pixels.dtype.str.replace("i", "u")) if narrow else pixels


def _floats(source: Source, frame: bytes) -> Array:
    """Float and Double Float Pixel Data (PS3.3 C.7.6.24 and C.7.6.25): never compressed, never coloured."""
    count = source.rows * source.columns
    if len(frame) * 8 < count * source.bits_allocated or source.is_color:
        raise NotAcceptable("The frame is shorter than its number of pixels.")
    cells = np.frombuffer(frame, _FLOATS[source.bits_allocated], count=count)
    return cells.reshape(source.rows, source.columns)


def to_8_bit(pixels: Array, bits_stored: int) -> Array:
    """The eight highest of the stored bits."""
    cells = pixels.view(pixels.dtype.str.replace("i", "u"))
    if bits_stored < 8:
        scaled = cells.astype(np.uint16) * 255 // (2**bits_stored - 1)
        return np.asarray(scaled.astype(np.uint8))
    return np.asarray((cells >> (bits_stored - 8)).astype(np.uint8, copy=False))
