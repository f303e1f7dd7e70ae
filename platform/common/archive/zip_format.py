"""The records of a ZIP file that a pack needs (PKWARE APPNOTE 6.3.10), with STORED entries only.

Every local header takes the same number of bytes, whatever the name: what is left is a padding field
(0xD935, which alignment tools write and readers skip). So an entry can be written before its name is known.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HEADER_BYTES = 128
LIMIT_32 = 0xFFFFFFFF
_LIMIT_16 = 0xFFFF
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_FIELD = struct.Struct("<2H")
_LOCAL_MAGIC, _CENTRAL_MAGIC = b"PK\x03\x04", b"PK\x01\x02"
_END_MAGIC, _END_64_MAGIC, _LOCATOR_64_MAGIC = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ZIP64, _PADDING = 0x0001, 0xD935
_TIME, _DATE = 0, 0x21  # 1980-01-01 00:00:00: the bytes depend on nothing but the entries
_UNIX_FILE_0644 = 0o100644 << 16
MAX_NAME_BYTES = HEADER_BYTES - _LOCAL.size - (_FIELD.size + 16) - _FIELD.size


class NotOurZip(ValueError):
    """The bytes are not what this module writes."""


@dataclass(frozen=True)
class ZipEntry:
    """One stored file; ``offset`` is that of its first byte."""

    name: str
    offset: int
    size: int
    crc32: int

    @property
    def header_offset(self) -> int:
        return self.offset - HEADER_BYTES

    @property
    def end(self) -> int:
        return self.offset + self.size


def encoded_name(name: str) -> bytes:
    """The name as it stands in the file.

    Raises:
        ValueError: empty, too long, not ASCII, or with a path in it.
    """
    raw = name.encode("ascii")
    if not raw or len(raw) > MAX_NAME_BYTES or b"/" in raw or b"\\" in raw or b"\0" in raw:
        raise ValueError(f"An entry's name has 1 to {MAX_NAME_BYTES} ASCII characters and no path.")
    return raw


def local_header(entry: ZipEntry, *, limit: int = LIMIT_32) -> bytes:
    """What stands before the entry's bytes; ``HEADER_BYTES`` long."""
    name = encoded_name(entry.name)
    large = entry.size >= limit
    extra = _field(_ZIP64, struct.pack("<2Q", entry.size, entry.size)) if large else b""
    # The padding's first two bytes name the alignment that it serves: 1, none.
    room = HEADER_BYTES - _LOCAL.size - len(name) - len(extra) - _FIELD.size
    extra += _field(_PADDING, struct.pack("<H", 1).ljust(room, b"\0")[:room])
    size = LIMIT_32 if large else entry.size
    version = 45 if large else 20
    return (
        _LOCAL.pack(
            _LOCAL_MAGIC,
            version,
            0,
            0,
            _TIME,
            _DATE,
            entry.crc32,
            size,
            size,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def parse_local_header(data: bytes, header_offset: int) -> ZipEntry | None:
    """The entry whose header this is, or nothing if it is none of ours."""
    if len(data) < HEADER_BYTES or not data.startswith(_LOCAL_MAGIC):
        return None
    _, _, _, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack_from(data)
    if method or packed != size or _LOCAL.size + name_bytes + extra_bytes != HEADER_BYTES:
        return None
    if size == LIMIT_32:
        kind, _, size, packed = struct.unpack_from("<2H2Q", data, _LOCAL.size + name_bytes)
        if kind != _ZIP64 or packed != size:
            return None
    raw_name = data[_LOCAL.size : _LOCAL.size + name_bytes]
    if not raw_name or not raw_name.isascii() or set(raw_name) & set(b"/\\\0"):
        return None
    return ZipEntry(raw_name.decode("ascii"), header_offset + HEADER_BYTES, size, crc)


def directory(
    entries: Sequence[ZipEntry], *, start: int, limit: int = LIMIT_32, max_entries: int = _LIMIT_16
) -> Iterator[bytes]:
    """The central directory and the end records, piece by piece."""
    size = 0
    for entry in entries:
        record = _central_record(entry, limit)
        size += len(record)
        yield record
    count = len(entries)
    if count >= max_entries or start >= limit or size >= limit:
        yield _END_64.pack(
            _END_64_MAGIC, _END_64.size - 12, 45, 45, 0, 0, count, count, size, start
        )
        yield _LOCATOR_64.pack(_LOCATOR_64_MAGIC, 0, start + size, 1)
        count = _LIMIT_16 if count >= max_entries else count
        size = LIMIT_32 if size >= limit else size
        start = LIMIT_32 if start >= limit else start
    yield _END.pack(_END_MAGIC, 0, 0, count, count, size, start, 0)


def parse_directory(tail: bytes) -> list[ZipEntry]:
    """The entries of a central directory that starts the given bytes and is followed by its end records.

    Raises:
        NotOurZip: it is damaged.
    """
    entries: list[ZipEntry] = []
    position = 0
    try:
        while tail[position : position + 4] == _CENTRAL_MAGIC:
            entry, position = _parse_central_record(tail, position)
            entries.append(entry)
        if tail[position : position + 4] == _END_64_MAGIC:
            if _END_64.unpack_from(tail, position)[7] != len(entries):
                raise NotOurZip("the directory has another number of entries than its end says")
            position += _END_64.size + _LOCATOR_64.size
        magic, _, _, _, count, _, _, comment = _END.unpack_from(tail, position)
    except (struct.error, UnicodeDecodeError) as error:
        raise NotOurZip("the directory is cut off or damaged") from error
    if magic != _END_MAGIC or comment or position + _END.size != len(tail):
        raise NotOurZip("the directory does not end as it should")
    if count not in {len(entries), _LIMIT_16}:
        raise NotOurZip("the directory has another number of entries than its end says")
    return entries


def directory_room(count: int) -> int:
    """The most bytes that the directory of so many entries takes."""
    return count * (_CENTRAL.size + MAX_NAME_BYTES + 28) + 256


def _central_record(entry: ZipEntry, limit: int) -> bytes:
    name = encoded_name(entry.name)
    values: list[int] = []
    size, offset = entry.size, entry.header_offset
    if size >= limit:
        values += [size, size]
        size = LIMIT_32
    if offset >= limit:
        values.append(offset)
        offset = LIMIT_32
    extra = _field(_ZIP64, struct.pack(f"<{len(values)}Q", *values)) if values else b""
    version = 45 if values else 20
    made_by = 3 << 8 | version  # 3: the attributes are those of Unix
    return (
        _CENTRAL.pack(
            _CENTRAL_MAGIC, made_by, version, 0, 0, _TIME, _DATE, entry.crc32, size, size,
            len(name), len(extra), 0, 0, 0, _UNIX_FILE_0644, offset,
        )
        + name
        + extra
    )  # fmt: skip


def _parse_central_record(tail: bytes, position: int) -> tuple[ZipEntry, int]:
    fields = _CENTRAL.unpack_from(tail, position)
    method, crc, packed, size, name_bytes, extra_bytes = (fields[i] for i in (4, 7, 8, 9, 10, 11))
    comment_bytes, offset = fields[12], fields[16]
    start = position + _CENTRAL.size
    name = tail[start : start + name_bytes].decode("ascii")
    extra = start + name_bytes + _FIELD.size
    if method or packed != size:
        raise NotOurZip("an entry is not stored as it is")
    if size == LIMIT_32:
        size, _ = struct.unpack_from("<2Q", tail, extra)
        extra += 16
    if offset == LIMIT_32:
        (offset,) = struct.unpack_from("<Q", tail, extra)
    end = start + name_bytes + extra_bytes + comment_bytes
    return ZipEntry(name, offset + HEADER_BYTES, size, crc), end


def _field(kind: int, data: bytes) -> bytes:
    return _FIELD.pack(kind, len(data)) + data
