"""Series of which instances were stored and are not yet in the series' own pack (ADR 0015).

Such a series is read through one index over its current revision and what came since. The index names a pack
that does not exist as an object: the packs it is made of, laid end to end. Whoever opens packs by key asks
``open_pack`` and need not know the difference.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common.archive import documents, keys
from common.archive.documents import InstanceEntry, SeriesIndex, entry_from_json
from common.kept import Kept
from common.storage import object_store
from common.storage.cache import open_object
from sharing.models import ReceivedInstance

if TYPE_CHECKING:
    from common.storage.cache import LocalObject
    from common.storage.port import ByteStream
    from sharing.models import Series

_MARK = "gathered:"
_MIB = 2**20
_UNNUMBERED = 2**40


@dataclass(frozen=True)
class Segment:
    """One object of a gathered pack, and where its first byte is in the whole."""

    start: int
    size: int
    key: str


@dataclass(frozen=True)
class Gathered:
    """A series as it is now: index and header lines in the order of the documents, and the packs."""

    index: SeriesIndex
    lines: list[bytes]
    segments: tuple[Segment, ...]


_gathered: Kept[str, Gathered] = Kept(entries=200, weight=32 * _MIB)


def prefix_of(series: Series) -> str:
    """What the readers of a series are led by: its revision's prefix, or a mark for a gathered one."""
    prefix = series.current.prefix if series.current else ""
    if not series.newest_received:
        return prefix
    return f"{_MARK}{series.pk}:{series.newest_received}:{prefix}"


def is_gathered(name: str) -> bool:
    """Whether this prefix or pack key is not one of the object store."""
    return name.startswith(_MARK)


def order_of(entry: InstanceEntry) -> tuple[int, str]:
    """Instance number, then UID: the order of the documents, whatever the order of arrival."""
    number = entry.instance_number
    return (_UNNUMBERED if number is None else number, entry.sop_instance_uid)


def gathered(name: str) -> Gathered:
    """The series that a gathered prefix stands for. Kept: under one name it never changes.

    What was packed meanwhile is still found where it came, for an hour.
    """
    found = _gathered.get(name)
    if found is None:
        found = _gather(name)
        _gathered.put(name, found, weight=sum(len(line) + 500 for line in found.lines))
    return found


def _gather(name: str) -> Gathered:
    series_id, newest, prefix = name.removeprefix(_MARK).split(":", 2)
    rows = list(
        ReceivedInstance.objects.filter(series_id=int(series_id), pk__lte=int(newest))
        .select_related("pack")
        .order_by("pk")
    )
    base = _base(prefix)
    lines = dict(_base_lines(prefix, base))
    entries = {entry.sop_instance_uid: entry for entry in base.instances} if base else {}
    segments = [Segment(0, base.pack_size, base.pack_key)] if base else []
    starts: dict[int, int] = {}
    end = base.pack_size if base else 0
    for row in rows:
        if row.sop_instance_uid in entries:
            continue
        if row.pack_id not in starts:
            starts[row.pack_id] = end
            segments.append(Segment(end, row.pack.size_bytes, row.pack.object_key))
            end += row.pack.size_bytes
        entry = entry_from_json(row.entry)
        entries[row.sop_instance_uid] = replace(entry, offset=entry.offset + starts[row.pack_id])
        lines[row.sop_instance_uid] = zlib.decompress(row.header)
    ordered = sorted(entries.values(), key=order_of)
    index = SeriesIndex(
        institution_code=base.institution_code if base else "",
        study_instance_uid=base.study_instance_uid if base else "",
        series_instance_uid=base.series_instance_uid if base else "",
        number=base.number if base else 0,
        pack_key=name,
        pack_size=end,
        pack_digest="",
        character_set=base.character_set if base else "",
        instances=tuple(ordered),
    )
    return Gathered(index, [lines[entry.sop_instance_uid] for entry in ordered], tuple(segments))


def _base(prefix: str) -> SeriesIndex | None:
    if not prefix:
        return None
    return SeriesIndex.from_bytes(object_store().get_bytes(keys.index_key(prefix)))


def _base_lines(prefix: str, base: SeriesIndex | None) -> Iterator[tuple[str, bytes]]:
    if base is not None:
        lines = documents.metadata_lines(object_store().get_bytes(keys.metadata_key(prefix)))
        for entry, line in zip(base.instances, lines, strict=True):
            yield entry.sop_instance_uid, line


class _GatheredPack:
    """Several objects read as one; no read crosses from one to the next, as no instance does."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self._segments = segments
        self.size = segments[-1].start + segments[-1].size

    def read(self, offset: int, length: int) -> bytes:
        segment = self._at(offset)
        with open_object(segment.key) as pack:
            return pack.read(offset - segment.start, length)

    def stream(self, offset: int = 0, length: int | None = None) -> ByteStream:
        segment = self._at(offset)
        with open_object(segment.key) as pack:  # the stream outlives this context
            return pack.stream(offset - segment.start, length)

    def _at(self, offset: int) -> Segment:
        return next(each for each in reversed(self._segments) if each.start <= offset)


@contextmanager
def open_pack(key: str) -> Iterator[LocalObject]:
    """A pack by the key that an index names, gathered ones too.

    Raises:
        ObjectMissing, StoreUnavailable: as ``common.storage.cache.open_object`` does.
    """
    if is_gathered(key):
        yield _GatheredPack(gathered(key).segments)
        return
    with open_object(key) as pack:
        yield pack
