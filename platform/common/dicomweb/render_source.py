"""What rendering asks of an image: attributes of one frame, its functional groups before the rest."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Attributes = Mapping[str, Any]
Array = npt.NDArray[Any]
ReadBulk = Callable[[str], bytes]

# Macros that transform pixel values or say how they are shown (PS3.3 C.7.6.16.2).
_PIXEL_VALUE_TRANSFORMATION, _FRAME_VOI_LUT = "00289145", "00289132"
_PER_FRAME, _SHARED = "52009230", "52009229"
FLOAT_PIXELS, DOUBLE_PIXELS = "7FE00008", "7FE00009"


class Source:
    """Attributes in the DICOM JSON model. ``bulk`` reads a value that they only refer to."""

    def __init__(self, attributes: Attributes, number: int = 1, bulk: ReadBulk | None = None):
        self.attributes, self.number = attributes, number
        self._places = [*_functional_groups(attributes, number), attributes]
        self._bulk = bulk

    def values(self, tag: str) -> list[Any]:
        for place in self._places:
            found = values_of(place, tag)
            if found:
                return found
        return []

    def text(self, tag: str) -> str:
        return str(next(iter(self.values(tag)), ""))

    def whole(self, tag: str, default: int = 0) -> int:
        try:
            return int(next(iter(self.values(tag)), default))
        except (TypeError, ValueError, OverflowError):
            return default

    def real(self, tag: str) -> float | None:
        """The first value, where it is a number that can be reckoned with."""
        try:
            found = float(self.values(tag)[0])
        except (IndexError, TypeError, ValueError):
            return None
        return found if np.isfinite(found) else None

    def item(self, tag: str) -> Attributes | None:
        """The first item of a sequence."""
        first = next(iter(self.values(tag)), None)
        return first if isinstance(first, Mapping) else None

    def octets(self, tag: str, place: Attributes | None = None) -> bytes:
        """A binary value, wherever it stands; empty where there is none."""
        for each in [place] if place is not None else self._places:
            element = each.get(tag)
            if not isinstance(element, Mapping):
                continue
            if "InlineBinary" in element:
                return base64.b64decode(element["InlineBinary"])
            if "BulkDataURI" in element and self._bulk is not None:
                return self._bulk(element["BulkDataURI"])
        return b""

    def words(self, tag: str, place: Attributes | None = None) -> Array | None:
        """A lookup table's data as 16-bit words, wherever it stands."""
        data = self.octets(tag, place)
        if data:
            return np.frombuffer(even(data), "<u2")
        listed = values_of(place, tag) if place is not None else self.values(tag)
        try:
            return np.array(listed, np.int64).astype(np.uint16) if listed else None
        except (TypeError, ValueError, OverflowError):
            return None

    @property
    def rows(self) -> int:
        return self.whole("00280010")

    @property
    def columns(self) -> int:
        return self.whole("00280011")

    @property
    def samples_per_pixel(self) -> int:
        return self.whole("00280002", 1)

    @property
    def photometric(self) -> str:
        return self.text("00280004") or "MONOCHROME2"

    @property
    def bits_allocated(self) -> int:
        if FLOAT_PIXELS in self.attributes:
            return 32
        return 64 if DOUBLE_PIXELS in self.attributes else self.whole("00280100", 8)

    @property
    def bits_stored(self) -> int:
        """Never more than there is room for, and at least one."""
        return max(1, min(self.whole("00280101", self.bits_allocated), self.bits_allocated))

    @property
    def is_signed(self) -> bool:
        return self.whole("00280103") == 1

    @property
    def is_float(self) -> bool:
        return FLOAT_PIXELS in self.attributes or DOUBLE_PIXELS in self.attributes

    @property
    def is_color(self) -> bool:
        return self.samples_per_pixel > 1


def values_of(place: Attributes, tag: str) -> list[Any]:
    """The values of one attribute; none where it is absent, empty or something else."""
    element = place.get(tag) if isinstance(place, Mapping) else None
    found = element.get("Value") if isinstance(element, Mapping) else None
    return [each for each in found if each is not None] if isinstance(found, list) else []


def even(data: bytes) -> bytes:
    return data + b"\x00" if len(data) % 2 else data


def _functional_groups(attributes: Attributes, number: int) -> list[Attributes]:
    """Macros of this frame, then those shared by all (PS3.3 C.7.6.16)."""
    per_frame = values_of(attributes, _PER_FRAME)
    groups = [per_frame[number - 1]] if len(per_frame) >= number else []
    groups += values_of(attributes, _SHARED)[:1]
    found: list[Attributes] = []
    for group in groups:
        for tag in (_PIXEL_VALUE_TRANSFORMATION, _FRAME_VOI_LUT):
            found += [each for each in values_of(group, tag)[:1] if isinstance(each, Mapping)]
    return found
