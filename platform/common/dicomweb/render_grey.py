"""Stored values to shades of grey: modality, VOI and presentation transformations (PS3.4 §N.2, 2024e).

All of them depend on the stored value alone, so for images of up to 16 bits they become one table of
shades that is made once and looked up for each pixel; the table of a series serves all of its slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from common.dicomweb.render_source import Array, Attributes, Source, values_of

Shades = npt.NDArray[np.uint8]
Voi = Literal["linear", "linear-exact", "sigmoid"]

_DICOM_VOI: dict[str, Voi] = {
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear-exact",
    "SIGMOID": "sigmoid",
}
_MODALITY, _MODALITY_LUT, _VOI_LUT = "00080060", "00283000", "00283010"
_TABLE_BITS = 16
# Pixels looked up at once: numpy makes eight bytes of each index.
_BLOCK = 2**17


@dataclass(frozen=True)
class Window:
    """Window centre, width and function (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

    center: float
    width: float
    function: Voi = "linear"


@dataclass(frozen=True)
class Stored:
    """How a stored value stands in its cell (PS3.5 §8.1.1)."""

    allocated: int
    stored: int
    signed: bool

    def numbers(self, cells: Array) -> Array:
        """The numbers that unsigned cells hold. Bits above those stored (old overlays) are dropped."""
        unused = 32 - self.stored
        if self.signed:
            moved = (cells.astype(np.uint32) << unused).view(np.int32)
            return np.asarray(moved >> unused)
        return np.asarray((cells.astype(np.uint32) << unused) >> unused)


@dataclass(frozen=True)
class Shading:
    """Everything between a stored value and a shade that is plain numbers."""

    cells: Stored
    slope: float
    intercept: float
    window: Window | None
    reach: tuple[float, float]  # smallest and largest value, where there is no window
    inverse: bool
    padding: tuple[float, float] | None


@dataclass(frozen=True)
class Table:
    """A lookup table of a Modality or VOI LUT Sequence (PS3.3 C.11.1, C.11.2)."""

    first: int
    entries: Array
    bits: int

    def __call__(self, values: Array) -> Array:
        positions = np.clip(values.astype(np.int64) - self.first, 0, self.entries.size - 1)
        return np.asarray(self.entries[positions])


@np.errstate(
    over="ignore", invalid="ignore", divide="ignore"
)  # hostile slopes end in black or white
def shades_of(source: Source, pixels: Array, window: Window | None) -> Shades:
    """Each pixel from 0, black, to 255. ``window`` outweighs what the image says itself."""
    modality = _table(source, _MODALITY_LUT)
    chosen = window or own_window(source)
    voi = None if chosen else _table(source, _VOI_LUT)
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize * 8 > _TABLE_BITS:
        return _computed(source, pixels, modality, chosen, voi)
    cells = Stored(pixels.dtype.itemsize * 8, source.bits_stored, source.is_signed)
    shading = Shading(
        cells=cells,
        slope=source.real("00281053") or 1.0,
        intercept=source.real("00281052") or 0.0,
        window=chosen,
        reach=(0.0, 0.0) if chosen or voi else _reach(source, pixels, cells, modality),
        inverse=_is_inverse(source),
        padding=_padding(source),
    )
    if modality is None and voi is None:
        return _looked_up(_shade_table(shading), pixels)
    return _looked_up(_make_table(shading, modality, voi), pixels)


def own_window(source: Source) -> Window | None:
    """The first window of the image or the frame."""
    center, width = source.real("00281050"), source.real("00281051")
    if center is None or width is None or width <= 0:
        return None
    return Window(center, width, _DICOM_VOI.get(source.text("00281056"), "linear"))


def _is_inverse(source: Source) -> bool:
    # The shape outweighs the interpretation where both stand (PS3.3 C.11.6).
    shape = source.text("20500020")
    return shape == "INVERSE" if shape else source.photometric == "MONOCHROME1"


def _padding(source: Source) -> tuple[float, float] | None:
    """Stored values that are no part of the image (PS3.3 C.7.5.1.1.2)."""
    first = source.real("00280120")
    if first is None:
        return None
    last = source.real("00280121")
    return (first, first) if last is None else (min(first, last), max(first, last))


@lru_cache(maxsize=128)
def _shade_table(shading: Shading) -> Shades:
    return _make_table(shading, None, None)


def _make_table(shading: Shading, modality: Table | None, voi: Table | None) -> Shades:
    stored = shading.cells.numbers(np.arange(2**shading.cells.allocated))
    shades = _shaded(_modality(stored, shading, modality), shading, voi)
    if shading.padding is not None:
        low, high = shading.padding
        shades[(stored >= low) & (stored <= high)] = 0
    shades.flags.writeable = False
    return shades


def _computed(
    source: Source, pixels: Array, modality: Table | None, window: Window | None, voi: Table | None
) -> Shades:
    """The same without a table, for floating point and 32-bit pixels, a block at a time."""
    flat, shades = pixels.reshape(-1), np.empty(pixels.size, np.uint8)
    shading = Shading(
        cells=Stored(32, 32, signed=False),
        slope=source.real("00281053") or 1.0,
        intercept=source.real("00281052") or 0.0,
        window=window,
        reach=(0.0, 0.0),
        inverse=_is_inverse(source),
        padding=None,
    )
    if window is None and voi is None:
        ends = [_modality(part, shading, modality) for part in _ends(flat)]
        low = min((float(each.min()) for each in ends), default=0.0)
        high = max((float(each.max()) for each in ends), default=0.0)
        shading = replace(shading, reach=(low, high))
    for start in range(0, flat.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        shades[start : start + part.size] = _shaded(
            _modality(part, shading, modality), shading, voi
        )
    return shades.reshape(pixels.shape)


def _ends(flat: Array) -> Iterator[Array]:
    """The smallest and the largest number of each block; what is no number is passed over."""
    for start in range(0, flat.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        known = part[np.isfinite(part)]
        if known.size:
            yield np.array([known.min(), known.max()])


def _modality(stored: Array, shading: Shading, table: Table | None) -> Array:
    if table is not None:
        return table(stored)
    # In double precision: tables are small, and 32-bit doses need it.
    return np.asarray(stored * np.float64(shading.slope) + shading.intercept)


def _shaded(values: Array, shading: Shading, voi: Table | None) -> Shades:
    if shading.window is not None:
        part = _windowed(values, shading.window)
    elif voi is not None:
        part = voi(values) / np.float64(2**voi.bits - 1)
    else:
        low, high = shading.reach
        part = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    shown = np.rint(np.clip(np.nan_to_num(part), 0, 1) * 255)
    return np.asarray((255 - shown if shading.inverse else shown).astype(np.uint8))


def _windowed(values: Array, window: Window) -> Array:
    center, width = window.center, window.width
    if window.function == "sigmoid":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -60, 60))))
    if window.function == "linear" and width == 1:
        return np.asarray(values > center - 0.5, np.float64)
    if window.function == "linear" and width > 1:
        # PS3.3 C.11.2.1.2.1: half a step below the centre, one step less of width.
        return np.asarray((values - (center - 0.5)) / (width - 1) + 0.5)
    return np.asarray(
        (values - center) / width + 0.5
    )  # linear needs 1, so less can only mean exact


def _reach(
    source: Source, pixels: Array, cells: Stored, modality: Table | None
) -> tuple[float, float]:
    """The smallest and the largest value of the picture, padding aside, where nothing else is said."""
    present, flat = np.zeros(2**cells.allocated, bool), pixels.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        present[flat[start : start + _BLOCK]] = True
    stored = cells.numbers(np.flatnonzero(present))
    padding = _padding(source)
    if padding is not None and source.text(_MODALITY) != "SEG":  # whose padding is the background
        inside = (stored < padding[0]) | (stored > padding[1])
        stored = stored[inside] if inside.any() else stored
    if modality is not None:
        values = modality(stored)
    else:
        slope, intercept = source.real("00281053") or 1.0, source.real("00281052") or 0.0
        values = stored * np.float64(slope) + intercept
    return float(values.min()), float(values.max())


def _table(source: Source, tag: str) -> Table | None:
    item = source.item(tag)
    return None if item is None else table_of(source, item, "00283002", "00283006")


def table_of(
    source: Source, place: Attributes | None, descriptor_tag: str, data_tag: str
) -> Table | None:
    """The table that a descriptor and its data make; None where they make none."""
    descriptor = values_of(place, descriptor_tag) if place else source.values(descriptor_tag)
    data = source.words(data_tag, place)
    try:
        count, first, bits = (int(each) for each in descriptor[:3])
    except (TypeError, ValueError):
        return None
    count &= 0xFFFF  # written as signed by some
    count = count or 2**16
    if data is None or not data.size:
        return None
    if bits <= 8 and data.size < count:  # packed, two entries in a word
        data = data.view(np.uint8)
    entries = data[:count]
    # Some writers say fewer bits than they fill.
    return Table(first, entries, max(1, min(bits, 16), int(entries.max()).bit_length()))


def _looked_up(table: Shades, pixels: Array) -> Shades:
    flat, shades = pixels.reshape(-1), np.empty(pixels.size, np.uint8)
    for start in range(0, flat.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        # Every cell is inside the table: "clip" spares the check.
        table.take(part, out=shades[start : start + part.size], mode="clip")
    return shades.reshape(pixels.shape)
