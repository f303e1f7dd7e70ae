"""Where the reader gets bytes from: a region of a file, or the inflated form of one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from common.dicom.errors import TRUNCATED, UNREADABLE, LimitPassed, MalformedDicom

CHUNK_BYTES = 32 * 1024
SMALL_CHUNK_BYTES = 512
MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_INFLATED_BYTES = 1024 * 1024 * 1024
_INFLATE_STEP_BYTES = 256 * 1024


class Source(Protocol):
    """Bytes by position, asked for in ascending order."""

    end: int

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""

    def at_end(self, position: int) -> bool:
        """Whether no byte is due at this position, which was read up to."""


class FileSource:
    """A region of an open file. Positions count from the region's first byte."""

    def __init__(self, file: BinaryIO, *, offset: int, length: int) -> None:
        self._file = file
        self._offset = offset
        self.end = length

    def read(self, position: int, size: int) -> bytes:
        size = min(size, self.end - position)
        if size <= 0:
            return b""
        self._file.seek(self._offset + position)
        return self._file.read(size)

    def at_end(self, position: int) -> bool:
        return position >= self.end


def inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """A deflated data set inflated piece by piece (PS3.5 section A.5), bounded in size.

    Raises:
        LimitPassed: more than ``MAX_INFLATED_BYTES`` come out.
        MalformedDicom: the stream is damaged or ends before its end.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    try:
        for chunk in chunks:
            rest = chunk
            while rest and not stream.eof:
                piece = stream.decompress(rest, _INFLATE_STEP_BYTES)
                rest = stream.unconsumed_tail
                total += len(piece)
                if total > MAX_INFLATED_BYTES:
                    raise LimitPassed("The deflated data set inflates to more than is accepted.")
                if piece:
                    yield piece
            if stream.eof:
                return
        while piece := stream.decompress(b"", _INFLATE_STEP_BYTES):
            yield piece
    except zlib.error as error:
        raise MalformedDicom(UNREADABLE, "The deflated data set cannot be inflated.") from error
    if not stream.eof:
        raise MalformedDicom(TRUNCATED, "The deflated data set ends before its own end.")


class InflatedSource:
    """The inflated data set, forwards only; positions count from its first inflated byte."""

    def __init__(self, source: Source, *, start: int) -> None:
        self._pieces = inflate(self._deflated(source, start))
        self._rest = b""
        self._position = 0
        self.end = MAX_INFLATED_BYTES

    @staticmethod
    def _deflated(source: Source, start: int) -> Iterator[bytes]:
        while chunk := source.read(start, CHUNK_BYTES):
            yield chunk
            start += len(chunk)

    def read(self, position: int, size: int) -> bytes:
        self._skip_to(position)
        if self._position < position:
            raise MalformedDicom(TRUNCATED, "The inflated data set ends inside a value.")
        found = bytearray()
        while len(found) < size and self._more():
            piece = self._rest[: size - len(found)]
            found += piece
            self._rest = self._rest[len(piece) :]
        self._position += len(found)
        return bytes(found)

    def at_end(self, position: int) -> bool:
        return self._position == position and not self._more()

    def _skip_to(self, position: int) -> None:
        while self._position < position and self._more():
            step = min(len(self._rest), position - self._position)
            self._rest = self._rest[step:]
            self._position += step

    def _more(self) -> bool:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        return bool(self._rest)
