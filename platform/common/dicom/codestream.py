"""How large a compressed frame says it is, read before a decoder makes room for it."""

from __future__ import annotations

import struct

_J2K = b"\xff\x4f\xff\x51"  # SOC and SIZ (ISO/IEC 15444-1 A.4, A.5.1); HTJ2K has the same
_LOOKED_AT = 64 * 1024
# Start of frame (ISO/IEC 10918-1 B.1.1.3; 14495-1 C.1.1 for JPEG-LS): 0xC0 to 0xCF without DHT, JPG and DAC.
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_START_OF_SCAN = 0xDA


def pixels_said(frame: bytes) -> int:
    """Width times height as the stream declares them; 0 where it does not say so near its beginning."""
    head = frame[:_LOOKED_AT]
    at = head.find(_J2K)
    if at >= 0 and len(head) >= at + 24:
        right, bottom, left, top = struct.unpack_from(">4I", head, at + 8)
        return int(max(right - left, 0) * max(bottom - top, 0))
    return _jpeg_pixels(head) if head.startswith(b"\xff\xd8") else 0


def _jpeg_pixels(head: bytes) -> int:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return int(height * width)
        elif marker == _START_OF_SCAN:
            return 0
        else:
            at += 2 + int(struct.unpack_from(">H", head, at + 2)[0])
    return 0
