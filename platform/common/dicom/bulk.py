"""A bulk value out of a stored instance, whatever the transfer syntax did to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from common.dicom.frames import inflated_range
from common.dicom.json_model import BINARY_WORDS, swap_words
from common.dicom.part10 import read_file_meta
from common.dicom.source import CHUNK_BYTES


class Ranges:
    """A stored instance as a source of the reader."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self.end = size

    def read(self, position: int, size: int) -> bytes:
        size = min(size, self.end - position)
        return self._read(position, size) if size > 0 else b""

    def at_end(self, position: int) -> bool:
        return position >= self.end


def read_bulk(
    read: Callable[[int, int], bytes],
    place: tuple[int, int],
    *,
    vr: str,
    transfer_syntax_uid: str,
    size: int,
) -> bytes:
    """The value at ``place``, (offset, length) of ``Instance.bulk``, in little endian.

    ``read(offset, length)`` gives bytes of the instance, ``size`` is the instance's length, ``vr``
    the attribute's in the JSON. An encapsulated value comes with its item headers. Where the value
    is neither deflated nor big endian it is simply that range, and can be streamed instead:
    ``is_plain`` tells.
    """
    offset, length = place
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        start = read_file_meta(Ranges(read, size)).data_set_start

        def chunks() -> Iterator[bytes]:
            for position in range(start, size, CHUNK_BYTES):
                yield read(position, min(CHUNK_BYTES, size - position))

        return inflated_range(chunks(), offset, length)
    raw = read(offset, length)
    if transfer_syntax_uid == ExplicitVRBigEndian:
        return swap_words(raw, BINARY_WORDS.get(vr, 1))
    return raw


def is_plain(transfer_syntax_uid: str) -> bool:
    """Whether the bulk values of an instance in this transfer syntax are plain ranges of it."""
    return transfer_syntax_uid not in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
