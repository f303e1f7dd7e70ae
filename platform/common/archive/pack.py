"""A series revision as one ordinary ZIP with STORED entries, written while the instances arrive."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from .digest import PackDigest
from .errors import DuplicateEntry, PackBusy, PackNotWritable
from .zip_format import (
    HEADER_BYTES,
    LIMIT_32,
    ZipEntry,
    directory,
    encoded_name,
    local_header,
    parse_local_header,
)

_CHUNK = 2**20


@dataclass(frozen=True)
class PackEntry:
    """One committed instance; ``offset`` is that of its first byte in the pack."""

    name: str
    offset: int
    size: int
    sha256: str
    crc32: int


@dataclass(frozen=True)
class SealedPack:
    """A finished pack on the local disk; ``digest`` is that of ``PackDigest``."""

    path: Path
    size: int
    digest: str
    entries: tuple[PackEntry, ...]


@dataclass
class _Current:
    name: str
    offset: int
    size: int = 0
    crc32: int = 0

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()


class PackWriter:
    """Writes a pack entry by entry in constant memory.

    ``begin``, ``write`` as the bytes come, look at them through ``file``, then ``commit`` or ``discard``;
    finally ``seal`` or ``abort``. The same entries in the same order give the same bytes. A header is
    written at commit, in one call, so the file itself tells after a crash what was committed; ``resume``
    goes on from there. One process at a time writes a pack.
    """

    def __init__(self, path: Path, *, keep: bool = False, zip64_limit: int = LIMIT_32) -> None:
        self.path = path
        self._limit = zip64_limit
        self._entries: dict[str, PackEntry] = {}
        self._current: _Current | None = None
        self._reader: BinaryIO | None = None
        self._digest = PackDigest()
        self._end = 0
        self._descriptor = -1
        try:
            with _writable():
                self._descriptor = _open_alone(path)
                if keep:
                    self._recover()
                os.ftruncate(self._descriptor, self._end)
        except BaseException:
            self.close()
            raise

    @classmethod
    def resume(cls, path: Path, *, zip64_limit: int = LIMIT_32) -> Self:
        """Go on with what a former writer committed; what it left unfinished or damaged is cut off.

        Every kept byte is read and checked. Without a file it is a new pack. A sealed pack can be
        resumed too; sealed again without a change, it has the same bytes.

        Raises:
            PackBusy: the former writer is still alive.
        """
        return cls(path, keep=True, zip64_limit=zip64_limit)

    @property
    def entries(self) -> tuple[PackEntry, ...]:
        """The committed entries, in order."""
        return tuple(self._entries.values())

    @property
    def size(self) -> int:
        """Where the committed entries end."""
        return self._end

    @property
    def current(self) -> tuple[int, int, str]:
        """Offset, size and SHA-256 so far of the entry being written."""
        entry = self._require_current()
        return entry.offset, entry.size, entry.digest.hexdigest()

    @property
    def file(self) -> BinaryIO:
        """The pack for reading, up to the last byte written; owned by the writer, valid until it writes on."""
        if self._reader is None:
            self._reader = self.path.open("rb")
        return self._reader

    def find(self, name: str) -> PackEntry | None:
        """The committed entry of this name."""
        return self._entries.get(name)

    def begin(self, name: str = "") -> int:
        """Start an entry and say where its first byte will be; the name may wait until ``commit``."""
        if self._current is not None:
            raise RuntimeError("The entry before was neither committed nor discarded.")
        self._require_open()
        self._current = _Current(name, self._end + HEADER_BYTES)
        return self._current.offset

    def write(self, chunk: bytes | memoryview) -> None:
        """Add bytes to the entry.

        Raises:
            PackNotWritable: the disk is full or fails; the entry can still be discarded.
        """
        entry = self._require_current()
        self._forget_reader()
        with _writable():
            self._write_at(chunk, entry.offset + entry.size)
        entry.size += len(chunk)
        entry.crc32 = zlib.crc32(chunk, entry.crc32)
        entry.digest.update(chunk)

    def commit(self, name: str | None = None) -> PackEntry:
        """Make the entry part of the pack.

        Raises:
            DuplicateEntry: there is one of this name; this one can still be discarded.
        """
        entry = self._require_current()
        name = name or entry.name
        encoded_name(name)
        if name in self._entries:
            raise DuplicateEntry(f"The pack has an entry {name} already.", name=name)
        done = PackEntry(name, entry.offset, entry.size, entry.digest.hexdigest(), entry.crc32)
        header = local_header(_as_zip(done), limit=self._limit)
        with _writable():
            self._write_at(header, self._end)
        self._keep(done, header)
        self._current = None
        self._forget_reader()
        return done

    def discard(self) -> None:
        """Drop the entry and its bytes."""
        self._require_current()
        self._current = None
        self._forget_reader()
        with _writable():
            os.ftruncate(self._descriptor, self._end)

    def seal(self, *, sync: bool = True) -> SealedPack:
        """Write the directory and put the file on the disk for good; the writer is closed.

        Without ``sync`` the latter is left to whoever stores the file durably at once.
        """
        self._require_open()
        if self._current is not None:
            raise RuntimeError("The last entry was neither committed nor discarded.")
        position = self._end
        tail = hashlib.sha256()
        entries = [_as_zip(entry) for entry in self._entries.values()]
        with _writable():
            for record in directory(entries, start=self._end, limit=self._limit):
                self._write_at(record, position)
                tail.update(record)
                position += len(record)
            os.ftruncate(self._descriptor, position)
            if sync:
                os.fsync(self._descriptor)
        self._digest.add(offset=self._end, size=position - self._end, sha256=tail.digest())
        self.close()
        return SealedPack(self.path, position, self._digest.hexdigest(), self.entries)

    def abort(self) -> None:
        """Remove the file; again does nothing."""
        if self._descriptor >= 0:
            with suppress(FileNotFoundError):
                self.path.unlink()
            self.close()

    def close(self) -> None:
        """Leave the file as it is, for ``resume``; again does nothing."""
        self._forget_reader()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()

    def _recover(self) -> None:
        size = os.fstat(self._descriptor).st_size
        while True:
            header = os.pread(self._descriptor, HEADER_BYTES, self._end)
            found = parse_local_header(header, self._end)
            if found is None or found.end > size or found.name in self._entries:
                break
            if header != local_header(found, limit=self._limit):
                break  # torn: a machine that loses power may keep half a header
            entry = self._reread(found)
            if entry is None:
                break
            self._keep(entry, header)

    def _reread(self, found: ZipEntry) -> PackEntry | None:
        digest, crc = hashlib.sha256(), 0
        for chunk in _chunks(self._descriptor, found.offset, found.end):
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
        if crc != found.crc32:
            return None
        return PackEntry(found.name, found.offset, found.size, digest.hexdigest(), crc)

    def _keep(self, entry: PackEntry, header: bytes) -> None:
        self._digest.add(offset=self._end, size=len(header), sha256=hashlib.sha256(header).digest())
        self._digest.add(offset=entry.offset, size=entry.size, sha256=bytes.fromhex(entry.sha256))
        self._entries[entry.name] = entry
        self._end = entry.offset + entry.size

    def _write_at(self, data: bytes | memoryview, position: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, position)
            view, position = view[written:], position + written

    def _require_open(self) -> None:
        if self._descriptor < 0:
            raise RuntimeError("The pack is closed.")

    def _require_current(self) -> _Current:
        self._require_open()
        if self._current is None:
            raise RuntimeError("No entry was begun.")
        return self._current

    def _forget_reader(self) -> None:
        # A buffered reader would go on showing what it has read before.
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _open_alone(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise PackBusy("Another process writes this pack.") from error
    return descriptor


def _chunks(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        chunk = os.pread(descriptor, min(_CHUNK, end - start), start)
        if not chunk:
            raise PackNotWritable("The pack is shorter than what was written.", reason="failed")
        start += len(chunk)
        yield chunk


def _as_zip(entry: PackEntry) -> ZipEntry:
    return ZipEntry(entry.name, entry.offset, entry.size, entry.crc32)


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        raise PackNotWritable(
            "The disk for incoming packs is full."
            if full
            else f"The pack cannot be written: {error.strerror or error}.",
            reason="disk-full" if full else "failed",
        ) from error
