"""What a JPEG codestream says of its colours (ISO/IEC 10918-1 B.1.1; 10918-6 for the Adobe marker)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Start of frame markers, without those for tables, and that of lossless coding.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_ADOBE, _START_OF_SCAN = 0xEE, 0xDA


@dataclass(frozen=True, slots=True)
class JpegColors:
    """Before the first scan."""

    lossless: bool = False
    subsampled: bool = False
    adobe_transform: int | None = None


def jpeg_colors(data: bytes) -> JpegColors:
    """What the markers say; nothing where they are damaged, which the decoder will say too."""
    at, transform = 2, None
    lossless = subsampled = False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        if marker == _START_OF_SCAN:
            break
        size = struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : at + 2 + size]
        if marker == _ADOBE and body[:5] == b"Adobe" and len(body) >= 12:
            transform = body[11]
        elif marker in _START_OF_FRAME and len(body) >= 6:
            lossless = marker in _LOSSLESS
            subsampled = len(set(body[7::3][: body[5]])) > 1
        at += 2 + size
    return JpegColors(lossless, subsampled, transform)


def is_ybr_coded(colors: JpegColors, photometric_interpretation: str) -> bool:
    """Whether three components are luminance and colour differences.

    The header decides, as DICOM has it, unless the codestream says otherwise of itself: some devices
    write RGB in the header and let their JPEG library transform.
    """
    if colors.adobe_transform is not None:
        return colors.adobe_transform == 1
    return photometric_interpretation.startswith("YBR") or colors.subsampled
