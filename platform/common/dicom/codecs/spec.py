"""What the header says of a frame's pixels (PS3.3 C.7.6.3.1, PS3.5 section 8.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from common.dicom.codecs.errors import NotDecodable

MAX_SAMPLES = 256 * 2**20  # of one frame, as some 16,000 by 16,000: more is no picture
# Samples per Pixel, Photometric Interpretation, Planar Configuration, Rows, Columns, bits, representation.
PIXEL_TAGS = (
    "00280002", "00280004", "00280006", "00280010", "00280011", "00280100", "00280101", "00280103",
)  # fmt: skip
_ALLOCATED = frozenset({1, 8, 16, 32, 64})


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """Shape and cells of one frame."""

    rows: int
    columns: int
    samples: int = 1
    bits_allocated: int = 8
    bits_stored: int = 8
    signed: bool = False
    by_plane: bool = False  # Planar Configuration 1
    photometric_interpretation: str = "MONOCHROME2"

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> PixelSpec:
        """From a header in the DICOM JSON model.

        Raises:
            NotDecodable: it describes no picture, or one larger than anything.
        """
        allocated = _whole(attributes, "00280100", 8)
        samples = _whole(attributes, "00280002", 1)
        spec = cls(
            rows=_whole(attributes, "00280010", 0),
            columns=_whole(attributes, "00280011", 0),
            samples=samples,
            bits_allocated=allocated,
            bits_stored=_whole(attributes, "00280101", allocated),
            signed=_whole(attributes, "00280103", 0) == 1,
            by_plane=samples > 1 and _whole(attributes, "00280006", 0) == 1,
            photometric_interpretation=str(_first(attributes, "00280004") or "MONOCHROME2"),
        )
        if spec.rows < 1 or spec.columns < 1 or samples not in (1, 3, 4):
            raise NotDecodable("The header does not say of what shape the pixels are.")
        if allocated not in _ALLOCATED or not 1 <= spec.bits_stored <= allocated:
            raise NotDecodable("The header does not say how many bits a pixel has.")
        if spec.rows * spec.columns * samples > MAX_SAMPLES:
            raise NotDecodable("The frame is larger than is decoded here.")
        return spec

    @property
    def is_422(self) -> bool:
        """Whether a native frame shares its colour among pairs of pixels (PS3.3 C.7.6.3.1.2)."""
        return self.samples == 3 and self.photometric_interpretation in (
            "YBR_FULL_422",
            "YBR_PARTIAL_422",
        )

    @property
    def is_ybr(self) -> bool:
        """Whether a native frame holds luminance and colour differences."""
        return self.samples == 3 and self.photometric_interpretation.startswith(
            ("YBR_FULL", "YBR_PARTIAL")
        )

    @property
    def is_rgb(self) -> bool:
        """Whether a native frame holds red, green and blue."""
        return self.samples == 3 and self.photometric_interpretation == "RGB"

    @property
    def native_bytes(self) -> int:
        """Size of one native frame."""
        pixels = self.rows * self.columns
        if self.bits_allocated == 1:
            return -(-pixels * self.samples // 8)
        return pixels * (2 if self.is_422 else self.samples) * self.bits_allocated // 8

    def in_rgb(self) -> PixelSpec:
        """The same pixels after a conversion of any YBR to RGB, the samples of a pixel together."""
        if not self.is_ybr:
            return self
        return replace(self, photometric_interpretation="RGB", by_plane=False)

    def to_json(self) -> dict[str, Any]:
        """As ``PixelSpec(**…)`` takes it back."""
        return asdict(self)


def _first(attributes: Mapping[str, Any], tag: str) -> Any:
    values = attributes.get(tag, {}).get("Value")
    return values[0] if values else None


def _whole(attributes: Mapping[str, Any], tag: str, default: int) -> int:
    value = _first(attributes, tag)
    try:
        return default if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return -1
