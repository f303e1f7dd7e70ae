"""The object store as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from .errors import BadKey

MIB = 2**20
BINARY = "application/octet-stream"
_KEY_BYTES = 1024  # the limit of S3
_SEGMENT_BYTES = 255  # the limit of common file systems


@dataclass(frozen=True)
class ObjectStat:
    """One object, without its bytes."""

    key: str
    size: int
    modified_at: datetime


class Readable(Protocol):
    """What ``put_stream`` takes: at most ``size`` bytes at a time, empty at the end."""

    def read(self, size: int, /) -> bytes: ...


class ByteStream(Iterator[bytes]):
    """Chunks of one object or range; already open, so that what is missing was reported before.

    Closes itself at the end. A reader who stops earlier calls ``close`` or uses it as a context.
    """

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], None]) -> None:
        self._chunks = chunks
        self._close: Callable[[], None] | None = close

    def __next__(self) -> bytes:
        if self._close is None:
            raise StopIteration
        try:
            return next(self._chunks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back the file or connection; again does nothing."""
        close, self._close = self._close, None
        if close is not None:
            close()

    def __del__(self) -> None:
        if getattr(self, "_close", None) is not None:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class ObjectStore(Protocol):
    """Bytes by key. Whole objects appear at once or not at all; none is ever changed in place.

    Every method raises ``BadKey`` for a key no object can have, and ``StoreUnavailable`` when the
    store does not do its work; those that read raise ``ObjectMissing``.
    """

    def put_file(
        self, key: str, path: Path, *, move: bool = False, content_type: str = BINARY
    ) -> ObjectStat:
        """Store a file in constant memory; ``move`` consumes it, by a rename where that is possible."""
        ...

    def put_bytes(self, key: str, data: bytes, *, content_type: str = BINARY) -> ObjectStat: ...

    def put_stream(self, key: str, readable: Readable, *, content_type: str = BINARY) -> ObjectStat:
        """Store what can be read, of unknown length, in constant memory; nothing if reading fails."""
        ...

    def get_bytes(self, key: str) -> bytes: ...

    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, chunk_bytes: int = MIB
    ) -> ByteStream:
        """The bytes of a range; what lies behind the object's end is left out."""
        ...

    def head(self, key: str) -> ObjectStat: ...

    def delete(self, key: str) -> None:
        """Remove the object; that it is not there is fine."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """Every object whose key starts with these characters, ordered by key. For maintenance only."""
        ...

    def check(self) -> None:
        """Answer within seconds whether the store works, making its root or bucket if need be."""
        ...

    def abandon_uploads(self, older_than: timedelta) -> int:
        """Remove what interrupted uploads left behind, and say how many there were."""
        ...


def checked_key(key: str) -> str:
    """The key, which every kind of store can hold.

    Raises:
        BadKey: empty, too long, or a segment that is empty, starts with a dot or has control characters.
    """
    if not key or len(key.encode(errors="replace")) > _KEY_BYTES:
        raise BadKey("An object key has 1 to 1024 bytes.")
    for segment in key.split("/"):
        if (
            not segment
            or segment.startswith(".")
            or len(segment.encode(errors="replace")) > _SEGMENT_BYTES
        ):
            raise BadKey(
                "An object key is made of segments of 1 to 255 bytes that start with no dot."
            )
    _refuse_odd_characters(key)
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix, if keys can start with it.

    Raises:
        BadKey: no key can start like this.
    """
    if prefix and not prefix.endswith("/"):
        return checked_key(prefix)
    if prefix:
        checked_key(prefix[:-1])
    return prefix


def checked_range(offset: int, length: int | None) -> None:
    """Refuse a range that starts before the object or has a negative length.

    Raises:
        ValueError: it does.
    """
    if offset < 0 or (length is not None and length < 0):
        raise ValueError("A range starts at 0 or later and has no negative length.")


def _refuse_odd_characters(key: str) -> None:
    for character in key:
        if character == "\\" or not character.isprintable():
            raise BadKey("An object key has no control characters, surrogates or backslashes.")
