"""The object store in a folder of one machine."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from .errors import ObjectMissing, StoreUnavailable
from .port import (
    BINARY,
    MIB,
    ByteStream,
    ObjectStat,
    Readable,
    checked_key,
    checked_prefix,
    checked_range,
)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FileStore:
    """Objects as files below one root, named by their keys.

    A file appears under its name only when it is whole and on the disk: written beside, ``fsync``,
    rename, ``fsync`` of the folder. Content types are not kept.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / ".incoming"

    def path_of(self, key: str) -> Path:
        """Where the object is or would be."""
        return self.root / checked_key(key)

    def put_file(
        self, key: str, path: Path, *, move: bool = False, content_type: str = BINARY
    ) -> ObjectStat:
        target = self.path_of(key)
        with _writing():
            size = path.stat().st_size
            if move and self._rename_in(path, target):
                return self._checked_stat(key, size)
            with path.open("rb") as source:
                self._write(target, lambda file: shutil.copyfileobj(source, file, MIB), size)
            if move:
                path.unlink()
            return self._checked_stat(key, size)

    def put_bytes(self, key: str, data: bytes, *, content_type: str = BINARY) -> ObjectStat:
        return self.put_stream(key, BytesIO(data), content_type=content_type)

    def put_stream(self, key: str, readable: Readable, *, content_type: str = BINARY) -> ObjectStat:
        target = self.path_of(key)
        # Reading stands outside the translation: its failures are the caller's, not the store's.
        with _writing():
            self._incoming.mkdir(parents=True, exist_ok=True)
            temporary = self._incoming / uuid4().hex
            file = temporary.open("xb")
        try:
            size = 0
            with file:
                while chunk := readable.read(MIB):
                    size += len(chunk)
                    with _writing():
                        file.write(chunk)
                with _writing():
                    _sync(file)
            with _writing():
                self._publish(temporary, target)
                return self._checked_stat(key, size)
        except BaseException:
            with suppress(OSError):  # the first failure is the one to report
                temporary.unlink(missing_ok=True)
            raise

    def get_bytes(self, key: str) -> bytes:
        with _translated(key):
            return self.path_of(key).read_bytes()

    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, chunk_bytes: int = MIB
    ) -> ByteStream:
        checked_range(offset, length)
        return stream_file(
            self.open(key), key, offset=offset, length=length, chunk_bytes=chunk_bytes
        )

    def open(self, key: str) -> BinaryIO:
        """The object as an open, unbuffered file; it stays readable when the object is deleted."""
        with _translated(key):
            return self.path_of(key).open("rb", buffering=0)

    def head(self, key: str) -> ObjectStat:
        with _translated(key):
            return _stat(key, self.path_of(key))

    def delete(self, key: str) -> None:
        path = self.path_of(key)
        with _translated(key), suppress(*_MISSING):
            path.unlink()
            _sync_folder(path.parent)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        folder = checked_prefix(prefix).rpartition("/")[0]
        return self._walk(folder, prefix)

    def check(self) -> None:
        with _writing():
            self._incoming.mkdir(parents=True, exist_ok=True)
            probe = self._incoming / uuid4().hex
            probe.write_bytes(b"")
            probe.unlink()

    def abandon_uploads(self, older_than: timedelta) -> int:
        before = time.time() - older_than.total_seconds()
        removed = 0
        with _writing(), suppress(FileNotFoundError):
            for path in self._incoming.iterdir():
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime <= before:
                        path.unlink()
                        removed += 1
        return removed

    def _write(self, target: Path, fill: Callable[[BinaryIO], object], size: int) -> None:
        self._incoming.mkdir(parents=True, exist_ok=True)
        temporary = self._incoming / uuid4().hex
        try:
            with temporary.open("xb") as file:
                fill(file)
                _sync(file)
                written = file.tell()
            _require_size(written, size)
            self._publish(temporary, target)
        except BaseException:
            with suppress(OSError):  # the first failure is the one to report
                temporary.unlink(missing_ok=True)
            raise

    def _rename_in(self, path: Path, target: Path) -> bool:
        with path.open("rb") as file:
            os.fsync(file.fileno())
        try:
            self._publish(path, target)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return False
            raise
        return True

    def _publish(self, temporary: Path, target: Path) -> None:
        self._make_folder(target.parent)
        temporary.replace(target)
        _sync_folder(target.parent)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self.root:
            self._make_folder(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(folder.parent)

    def _checked_stat(self, key: str, size: int) -> ObjectStat:
        stat = _stat(key, self.path_of(key))
        _require_size(stat.size, size)
        return stat

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectStat]:
        with _translated(folder), suppress(*_MISSING):
            # A folder sorts as its name with the slash, which is the order of the keys.
            with os.scandir(self.root / folder) as scan:
                found = sorted(
                    (f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name)
                    for entry in scan
                    if not entry.name.startswith(".")
                )
            for name in found:
                key = f"{folder}/{name}" if folder else name
                if name.endswith("/"):
                    if key.startswith(prefix) or prefix.startswith(key):
                        yield from self._walk(key[:-1], prefix)
                elif key.startswith(prefix):
                    with suppress(*_MISSING):  # deleted meanwhile
                        yield _stat(key, self.root / key)


def stream_file(
    file: BinaryIO, key: str, *, offset: int, length: int | None, chunk_bytes: int = MIB
) -> ByteStream:
    """A range of an open file; the stream owns and closes the file."""

    def chunks() -> Iterator[bytes]:
        position, left = offset, length
        while left is None or left > 0:
            with _translated(key):
                wanted = chunk_bytes if left is None else min(chunk_bytes, left)
                chunk = os.pread(file.fileno(), wanted, position)
            if not chunk:
                return
            position += len(chunk)
            left = None if left is None else left - len(chunk)
            yield chunk

    return ByteStream(chunks(), file.close)


def _stat(key: str, path: Path) -> ObjectStat:
    stat = path.stat()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder, not an object")
    return ObjectStat(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except _MISSING as error:
        raise ObjectMissing(f"There is no object {key}.", key=key) from error
    except OSError as error:
        raise _unavailable(error) from error


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: OSError) -> StoreUnavailable:
    if error.errno in _FULL:
        return StoreUnavailable("The disk of the object store is full.", reason="disk-full")
    if isinstance(error, PermissionError):
        return StoreUnavailable(
            "The folder of the object store may not be used: permission denied.", reason="refused"
        )
    return StoreUnavailable(
        f"The folder of the object store cannot be used: {error.strerror or error}.",
        reason="failed",
    )


def _require_size(found: int, size: int) -> None:
    if found != size:
        raise StoreUnavailable(f"{found} bytes were stored of {size}.", reason="short")
