"""Small DICOM files made byte by byte, so that a test says exactly what is wrong with them."""

from __future__ import annotations

import struct

from common.dicom.dictionary import LONG_VRS

UNDEFINED = 0xFFFFFFFF
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def element(
    tag: int, vr: str, value: bytes = b"", *, length: int | None = None, order: str = "<"
) -> bytes:
    """One explicit element; ``length`` overrides the true one."""
    size = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode("latin-1")
    if vr in LONG_VRS:
        return head + b"\0\0" + struct.pack(order + "I", size) + value
    return head + struct.pack(order + "H", size) + value


def implicit(tag: int, value: bytes = b"", *, length: int | None = None) -> bytes:
    """One element of an implicit data set, or an item or delimiter of any."""
    size = len(value) if length is None else length
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, size) + value


def item(value: bytes = b"", *, length: int | None = None) -> bytes:
    return implicit(0xFFFEE000, value, length=length)


ITEM_END = implicit(0xFFFEE00D)
SEQUENCE_END = implicit(0xFFFEE0DD)


def text(value: str | bytes) -> bytes:
    raw = value.encode("ascii") if isinstance(value, str) else value
    return raw + b" " * (len(raw) % 2)


def uid(value: str) -> bytes:
    raw = value.encode("ascii")
    return raw + b"\0" * (len(raw) % 2)


UIDS = {
    0x00080016: "1.2.840.10008.5.1.4.1.1.7",
    0x00080018: "1.2.3.4",
    0x0020000D: "1.2.3",
    0x0020000E: "1.2.3.1",
}


def uids(*, implicit_vr: bool = False, order: str = "<", **changes: str) -> bytes:
    """The four UIDs that an instance needs; ``changes`` by tag in hex, ``x00080018="..."``."""
    chosen = UIDS | {int(key[1:], 16): value for key, value in changes.items()}
    return b"".join(
        implicit(tag, uid(value)) if implicit_vr else element(tag, "UI", uid(value), order=order)
        for tag, value in sorted(chosen.items())
    )


def part10(data_set: bytes, *, syntax: str = EXPLICIT_LE, group_length: bool = True) -> bytes:
    """A file: preamble, file meta, this data set."""
    meta = element(0x00020010, "UI", uid(syntax)) if syntax else b""
    if group_length:
        meta = element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta
    return b"\0" * 128 + b"DICM" + meta + data_set
