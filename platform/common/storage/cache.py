"""Hot packs as local files, so that a frame is a file read.

Nothing here is remembered outside the folder: the files are the cache, their modification times the order
of use, and a lock file per object makes one process fetch while the others wait. So the folder, or any file
in it, may be deleted at any time, and a process may die at any point.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from django.conf import settings

from common.kept import Kept

from .errors import StoreUnavailable
from .factory import object_store
from .files import FileStore
from .port import MIB, ByteStream, ObjectStore

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# An open file keeps its bytes on the disk after it was evicted or deleted: few of them, and for seconds.
_HOT_PACKS = 16
_HOT_S = 10.0


class LocalObject(Protocol):
    """An object opened for many small reads, from any thread."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes.

        Raises:
            StoreUnavailable: the object ends before.
        """
        ...

    def stream(self, offset: int = 0, length: int | None = None) -> ByteStream:
        """The range in chunks, without what lies behind the object's end; outlives the object's context."""
        ...


class _OpenFile:
    """A file by its descriptor: usable from many threads at once, closed when the last reader lets go of it."""

    def __init__(self, file: BinaryIO, key: str) -> None:
        self._descriptor = os.dup(file.fileno())
        self._key = key
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        return _whole(self._read(offset, length), length, self._key)

    def stream(self, offset: int = 0, length: int | None = None) -> ByteStream:
        return ByteStream(self._chunks(offset, length), lambda: None)

    def _chunks(self, offset: int, length: int | None) -> Iterator[bytes]:
        end = self.size if length is None else min(self.size, offset + length)
        while offset < end:
            chunk = self._read(offset, min(MIB, end - offset))
            if not chunk:
                return
            offset += len(chunk)
            yield chunk

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise StoreUnavailable(f"Reading failed: {error.strerror}.", reason="failed") from error

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


class _Remote:
    """Ranged reads from the store itself, where no local copy can be had."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        data = b"".join(self._store.stream(self._key, offset=offset, length=length))
        return _whole(data, length, self._key)

    def stream(self, offset: int = 0, length: int | None = None) -> ByteStream:
        return self._store.stream(self._key, offset=offset, length=length)


_hot: Kept[tuple[ObjectStore, Path, str], _OpenFile] = Kept(entries=_HOT_PACKS, keep_s=_HOT_S)


class ObjectCache:
    """At most ``max_bytes`` of whole objects under ``folder``, the least recently used leaving first.

    Objects must never change under their key. One download happens however many threads and processes
    ask; who waits longer than ``patience_s``, and who finds no room, reads from the store instead.
    """

    def __init__(
        self, store: ObjectStore, folder: Path, *, max_bytes: int, patience_s: float = 30
    ) -> None:
        self._store = store
        self._root = folder
        # A crash of the machine may leave holes in files that look whole: each boot starts anew.
        self._folder = folder / _boot()
        self._max_bytes = max_bytes
        self._patience_s = patience_s

    @contextmanager
    def open_object(self, key: str) -> Iterator[LocalObject]:
        """The object, local if possible.

        Raises:
            ObjectMissing: there is none, neither here nor in the store.
            StoreUnavailable: it is not here, and the store does not answer.
        """
        if isinstance(self._store, FileStore):
            with self._store.open(key) as file:
                opened = _OpenFile(file, key)
            yield opened
            return
        found = self._open_cached(key)
        if found is None:
            size = self._store.head(key).size
            found = self._fetch(key, size)
            if found is None:
                yield _Remote(self._store, key, size)
                return
        with found:
            opened = _OpenFile(found, key)
        yield opened

    def forget(self, key: str) -> None:
        """Remove the local copy; who reads it at this moment reads on."""
        self._path(key).unlink(missing_ok=True)

    def _open_cached(self, key: str) -> BinaryIO | None:
        path = self._path(key)
        try:
            file = path.open("rb", buffering=0)
        except OSError:
            return None  # not here, or not readable: the store has it
        with suppress(OSError):  # evicted meanwhile; the open file stays readable
            os.utime(path)
        return file

    def _fetch(self, key: str, size: int) -> BinaryIO | None:
        if size > self._max_bytes // 2:
            return None  # would push out everything else
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(_lock_of(path), self._patience_s) as mine:
                if not mine:
                    return None
                return self._open_cached(key) or self._download(key, path, size)
        except OSError as error:
            log.warning("object cache not usable, reading from the store: %s", error.strerror)
            return None

    def _download(self, key: str, path: Path, size: int) -> BinaryIO:
        self._make_room(size)
        part = path.with_name(f"{path.name}.{uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                file.truncate(size)  # counted in full by others who make room
                with self._store.stream(key) as chunks:
                    for chunk in chunks:
                        file.write(chunk)
                _require_size(file.tell(), size)
            return _opened_as(part, path)
        except BaseException:
            with suppress(OSError):  # the first failure is the one to report
                part.unlink(missing_ok=True)
            raise

    def _make_room(self, size: int) -> None:
        self._drop_former_boots()
        held = sorted(self._held(), key=lambda item: item[1])
        total = sum(size for _, _, size in held)
        for path, _, freed in held:
            if total + size <= self._max_bytes:
                return
            if path.suffix:
                continue  # a lock, or what somebody fetches right now
            path.unlink(missing_ok=True)
            total -= freed

    def _held(self) -> Iterator[tuple[Path, float, int]]:
        for path in self._folder.glob("*/*"):
            if path.suffix == ".part" and self._is_left_over(path):
                path.unlink(missing_ok=True)
                continue
            with suppress(FileNotFoundError):
                stat = path.stat()
                yield path, stat.st_mtime, stat.st_size

    def _is_left_over(self, part: Path) -> bool:
        """Whether nobody writes it: a writer holds the object's lock from before to after."""
        with _locked(_lock_of(part.with_name(part.name.split(".")[0])), 0) as mine:
            return mine

    def _drop_former_boots(self) -> None:
        with suppress(FileNotFoundError):
            for folder in self._root.iterdir():
                if folder != self._folder:
                    shutil.rmtree(folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._folder / name[:2] / name


@contextmanager
def open_object(key: str) -> Iterator[LocalObject]:
    """The object of the configured store, through the cache below the data directory.

    What was opened lately stays open: hundreds of frames of a pack are then one ``open``.
    """
    store, folder = object_store(), settings.DATA_DIR / "cache"
    found = _hot.get((store, folder, key))
    if found is not None:
        yield found
        return
    cache = ObjectCache(store, folder, max_bytes=settings.PACK_CACHE_BYTES)
    with cache.open_object(key) as opened:
        if isinstance(opened, _OpenFile):
            _hot.put((store, folder, key), opened)
        yield opened


def forget_object(key: str) -> None:
    """Remove this machine's copy of an object that was removed from the store for good."""
    store, folder = object_store(), settings.DATA_DIR / "cache"
    _hot.drop((store, folder, key))
    ObjectCache(store, folder, max_bytes=settings.PACK_CACHE_BYTES).forget(key)


@contextmanager
def _locked(path: Path, patience_s: float) -> Iterator[bool]:
    """Whether this thread alone holds the lock file, having waited no longer than that.

    The file is removed by its holder; who then gets the lock of a removed file tries again.
    """
    deadline = time.monotonic() + patience_s
    pause = 0.002
    while True:
        with path.open("ab", buffering=0) as file:
            if _try_lock(file):
                if _is_same(file, path):
                    try:
                        yield True
                    finally:
                        path.unlink(missing_ok=True)
                    return
                continue
        if time.monotonic() >= deadline:
            yield False
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _opened_as(part: Path, path: Path) -> BinaryIO:
    """The file under its final name; opened first, because there it may be evicted at once."""
    file = part.open("rb", buffering=0)
    try:
        part.replace(path)
    except BaseException:
        file.close()
        raise
    return file


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown-boot"  # no such file on this system


def _whole(data: bytes, length: int, key: str) -> bytes:
    if len(data) != length:
        raise StoreUnavailable(
            f"The object {key} ends {length - len(data)} bytes before the range asked for.",
            reason="short",
        )
    return data


def _require_size(found: int, size: int) -> None:
    if found != size:
        raise StoreUnavailable(f"The object came with {found} bytes, not {size}.", reason="short")
