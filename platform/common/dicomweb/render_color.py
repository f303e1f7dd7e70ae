"""Palettes: stored values to red, green and blue of 8 bits (PS3.3 C.7.6.3.1.5 and C.7.9.2, 2024e)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.dicomweb.render_grey import table_of
from common.dicomweb.render_source import Array, Source
from common.dicomweb.server import NotAcceptable

Bytes = npt.NDArray[np.uint8]

_CHANNELS = (("00281101", "00281201"), ("00281102", "00281202"), ("00281103", "00281203"))
_SEGMENTED = {"00281201": "00281221", "00281202": "00281222", "00281203": "00281223"}
_MOST_ENTRIES = 2**16
_BLOCK_ROWS = 64


def with_palette(source: Source, pixels: Array) -> Bytes:
    """The colours of the tables.

    Raises:
        NotAcceptable: the palette is missing or makes no sense.
    """
    cells = np.arange(2 ** (8 * pixels.dtype.itemsize))
    shown = np.empty((*pixels.shape, 3), np.uint8)
    for channel, (descriptor_tag, data_tag) in enumerate(_CHANNELS):
        table = _channel(source, descriptor_tag, data_tag)
        picked = table[np.clip(cells - _first(source, descriptor_tag), 0, table.size - 1)]
        for row in range(0, pixels.shape[0], _BLOCK_ROWS):
            part = pixels[row : row + _BLOCK_ROWS]
            shown[row : row + _BLOCK_ROWS, :, channel] = picked[part]
    return shown


def _first(source: Source, descriptor_tag: str) -> int:
    try:
        return int(source.values(descriptor_tag)[1])
    except (IndexError, TypeError, ValueError):
        return 0


def _channel(source: Source, descriptor_tag: str, data_tag: str) -> Bytes:
    bits = (source.values(descriptor_tag) or [0, 0, 16])[2:3]
    segmented = source.words(_SEGMENTED[data_tag])
    if segmented is not None and segmented.size:
        entries = _expanded(segmented)
    else:
        table = table_of(source, None, descriptor_tag, data_tag)
        if table is None:
            raise NotAcceptable("The palette of this image is missing.")
        entries = table.entries
    # Some writers say 16 bits and fill 8 only: then the table never leaves the low byte.
    wide = bits != [8] and int(entries.max(initial=0)) > 255
    return np.asarray(entries >> 8 if wide else entries & 255).astype(np.uint8)


def _expanded(words: Array) -> Array:
    """A segmented palette as a plain one (PS3.3 C.7.9.2): discrete, linear and indirect segments."""
    found: list[int] = []
    data = words.astype(np.int64).tolist()
    try:
        _expand(data, 0, len(data), None, found)
    except IndexError as error:
        raise NotAcceptable("The segmented palette of this image ends inside a segment.") from error
    if not found:
        raise NotAcceptable("The segmented palette of this image is empty.")
    return np.array(found, np.uint16)


def _expand(data: list[int], at: int, end: int, segments: int | None, found: list[int]) -> None:
    """Append the entries of the segments from ``at``; ``segments`` of them, or all up to ``end``."""
    while at + 1 < end and (segments is None or segments > 0):
        kind, length = data[at], data[at + 1]
        if kind == 0:
            found += data[at + 2 : at + 2 + length]
            at += 2 + length
        elif kind == 1 and found:
            last, target = found[-1], data[at + 2]
            found += [
                round(last + (target - last) * step / length) for step in range(1, length + 1)
            ]
            at += 3
        elif kind == 2 and segments is None:  # an indirect one may not lead to another
            _expand(data, data[at + 2] | data[at + 3] << 16, end, length, found)
            at += 4
        else:
            raise NotAcceptable("The segmented palette of this image has an unknown segment.")
        if len(found) > _MOST_ENTRIES:
            raise NotAcceptable("The segmented palette of this image is too long.")
        segments = None if segments is None else segments - 1
