"""The documents and packs of a series revision, as the views read them.

A revision never changes, so what is read under its prefix stays right; the memories below are
bounded by size and hold nothing that an access decision depends on.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from common.archive import documents, keys
from common.archive.documents import InstanceEntry, SeriesIndex
from common.errors import NotFound
from common.kept import Kept
from common.storage import object_store
from sharing.selectors.gathering import gathered, is_gathered, open_pack

if TYPE_CHECKING:
    from common.storage.cache import LocalObject
    from sharing.selectors import SeriesPlace

_MIB = 2**20
# A parsed index takes about this many times the compressed bytes it was read from.
_INDEX_GROWTH = 20


@dataclass(frozen=True)
class Held:
    """An archived series: its index, and each instance by its UID."""

    index: SeriesIndex
    prefix: str

    @cached_property
    def by_uid(self) -> dict[str, tuple[int, InstanceEntry]]:
        entries = enumerate(self.index.instances)
        return {entry.sop_instance_uid: (position, entry) for position, entry in entries}

    def instance(self, sop_instance_uid: str) -> InstanceEntry:
        """The entry of one instance.

        Raises:
            NotFound: the series does not hold it.
        """
        return self._find(sop_instance_uid)[1]

    def metadata(self, sop_instance_uid: str) -> bytes:
        """The header of one instance as DICOM JSON text.

        Raises:
            NotFound: the series does not hold it.
        """
        return metadata_lines(self.prefix)[self._find(sop_instance_uid)[0]]

    def _find(self, sop_instance_uid: str) -> tuple[int, InstanceEntry]:
        found = self.by_uid.get(sop_instance_uid)
        if found is None:
            raise NotFound("There is no such instance.")
        return found


_held: Kept[str, Held] = Kept(entries=1_000, weight=48 * _MIB)
_metadata: Kept[str, bytes] = Kept(entries=1_000, weight=16 * _MIB)
_lines: Kept[str, list[bytes]] = Kept(entries=1_000, weight=32 * _MIB)
_addressed: Kept[tuple[str, str], bytes] = Kept(entries=1_000, weight=16 * _MIB)
_RELATIVE = b'"BulkDataURI":"instances/'


def held_series(place: SeriesPlace) -> Held:
    """The index of the current revision."""
    held = _held.get(place.prefix)
    if held is None:
        if is_gathered(place.prefix):
            return Held(gathered(place.prefix).index, place.prefix)
        data = object_store().get_bytes(keys.index_key(place.prefix))
        held = Held(SeriesIndex.from_bytes(data), place.prefix)
        _held.put(place.prefix, held, weight=len(data) * _INDEX_GROWTH)
    return held


def metadata_gzip(prefix: str) -> bytes:
    """The metadata document as it is stored: a DICOM JSON array, compressed."""
    data = _metadata.get(prefix)
    if data is None:
        if is_gathered(prefix):
            data = documents.metadata_bytes(gathered(prefix).lines)
        else:
            data = object_store().get_bytes(keys.metadata_key(prefix))
        _metadata.put(prefix, data, weight=len(data))
    return data


def metadata_lines(prefix: str) -> list[bytes]:
    """The header of each instance as DICOM JSON text, in the order of the index."""
    if is_gathered(prefix):
        return gathered(prefix).lines
    lines = _lines.get(prefix)
    if lines is None:
        lines = documents.metadata_lines(metadata_gzip(prefix))
        _lines.put(prefix, lines, weight=sum(map(len, lines)))
    return lines


def metadata_plain(prefix: str) -> bytes:
    """The metadata document as text, for who does not take it compressed."""
    data = metadata_gzip(prefix)
    if len(data) > _MIB:
        return gzip.decompress(data)  # too long to be kept in two forms
    return b"[" + b",\n".join(metadata_lines(prefix)) + b"]"


def with_addresses(text: bytes, series_url: str) -> bytes:
    """The text with whole addresses of bulk data: many clients take a relative one for one of their own page."""
    return text.replace(_RELATIVE, f'"BulkDataURI":"{series_url}/instances/'.encode())


def metadata_gzip_at(prefix: str, series_url: str) -> bytes:
    """The metadata document with whole addresses, compressed; as it is stored where it refers to nothing."""
    data = _addressed.get((prefix, series_url))
    if data is None:
        text = metadata_plain(prefix)
        data = metadata_gzip(prefix)
        if _RELATIVE in text:
            data = gzip.compress(with_addresses(text, series_url), compresslevel=1, mtime=0)
        _addressed.put((prefix, series_url), data, weight=len(data))
    return data


class OpenPacks:
    """Packs read one after another; one is open at a time, whatever the size of the study."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._key = ""
        self._pack: LocalObject | None = None

    def pack(self, key: str) -> LocalObject:
        """The pack, open. A missing object is an error here, before an answer has begun."""
        if self._pack is None or self._key != key:
            self.close()
            self._pack = self._stack.enter_context(open_pack(key))
            self._key = key
        return self._pack

    def require(self, keys: Sequence[str]) -> None:
        """Open the first and see that the others are there, before an answer has begun.

        Raises:
            ObjectMissing, StoreUnavailable: one is not, or cannot be asked for.
        """
        for key in dict.fromkeys(keys[1:]):
            if key != keys[0] and not is_gathered(key):
                object_store().head(key)
        self.pack(keys[0])

    def instance(self, index: SeriesIndex, entry: InstanceEntry) -> Iterator[bytes]:
        """The stored bytes of one instance, opened when its turn comes."""
        yield from self.pack(index.pack_key).stream(entry.offset, entry.size)

    def close(self) -> None:
        self._stack.close()
        self._pack = None


def read_ranges(
    index: SeriesIndex, entry: InstanceEntry, ranges: Sequence[tuple[int, int]]
) -> bytes:
    """Bytes of one instance; offsets count from its first byte."""
    with open_pack(index.pack_key) as pack:
        return b"".join(pack.read(entry.offset + offset, length) for offset, length in ranges)
