"""Proof that a pack in the store is what its index says: one pass over the object, constant memory."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from common.storage import ObjectMissing, ObjectStore

from .documents import InstanceEntry, SeriesIndex
from .zip_format import NotOurZip, ZipEntry, directory_room, parse_directory


class FaultKind(StrEnum):
    """What is wrong."""

    MISSING = "missing"
    INDEX = "index"
    SIZE = "size"
    PACK_DIGEST = "pack-digest"
    INSTANCE_DIGEST = "instance-digest"
    DIRECTORY = "directory"


@dataclass(frozen=True)
class Fault:
    """One finding, in words; with the instance that it concerns, if it is about one."""

    kind: FaultKind
    detail: str
    sop_instance_uid: str = ""

    def __str__(self) -> str:
        return f"{self.sop_instance_uid}: {self.detail}" if self.sop_instance_uid else self.detail


@dataclass
class _Range:
    """An instance's bytes as they pass by."""

    entry: InstanceEntry
    seen: int = 0
    crc32: int = 0

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()

    def feed(self, chunk: memoryview) -> None:
        self.digest.update(chunk)
        self.crc32 = zlib.crc32(chunk, self.crc32)
        self.seen += len(chunk)


@dataclass
class _Pass:
    """What one pass over the object has found so far."""

    ordered: list[InstanceEntry]
    tail_room: int
    position: int = 0
    next_instance: int = 0
    open_range: _Range | None = None
    tail: bytearray = field(default_factory=bytearray)
    directory_start: int = 0
    crcs: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()
        last = self.ordered[-1] if self.ordered else None
        self.directory_start = last.offset + last.size if last else 0

    def feed(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        view = memoryview(chunk)
        start, end = self.position, self.position + len(chunk)
        while self.next_instance < len(self.ordered):
            entry = self.ordered[self.next_instance]
            if entry.offset > end or (entry.offset == end and entry.size):
                break
            self._feed_instance(entry, view, start, end)
            if entry.offset + entry.size > end:
                break
            self._finish()
        if end > self.directory_start and len(self.tail) <= self.tail_room:
            self.tail += view[max(0, self.directory_start - start) :]
        self.position = end

    def _feed_instance(self, entry: InstanceEntry, view: memoryview, start: int, end: int) -> None:
        if self.open_range is None:
            self.open_range = _Range(entry)
        first, last = max(entry.offset, start), min(entry.offset + entry.size, end)
        self.open_range.feed(view[first - start : last - start])

    def _finish(self) -> None:
        done, self.open_range = self.open_range, None
        self.next_instance += 1
        if done is None:
            return
        uid = done.entry.sop_instance_uid
        self.crcs[uid] = done.crc32
        if done.digest.hexdigest() != done.entry.sha256:
            detail = "The instance's bytes have another SHA-256 than the index says."
            self.faults.append(Fault(FaultKind.INSTANCE_DIGEST, detail, uid))

    def close(self) -> None:
        """Report the instances that the object ended before."""
        for entry in self.ordered[self.next_instance :]:
            detail = "The object ends before the instance does."
            self.faults.append(Fault(FaultKind.INSTANCE_DIGEST, detail, entry.sop_instance_uid))


def verify_pack(store: ObjectStore, index: SeriesIndex) -> list[Fault]:
    """Read the pack once and list what differs from the index; nothing means proved.

    Compared are size and SHA-256 of the pack, SHA-256 of every instance's range, and the ZIP's own
    directory. Memory: one chunk and the directory.

    Raises:
        StoreUnavailable: the store does not answer, so nothing is known.
    """
    ordered = sorted(index.instances, key=lambda entry: (entry.offset, entry.size))
    faults = list(_index_faults(index, ordered))
    if faults:
        return faults
    try:
        chunks = store.stream(index.pack_key)
    except ObjectMissing:
        return [Fault(FaultKind.MISSING, f"There is no object {index.pack_key}.")]
    run = _Pass(ordered, tail_room=directory_room(len(ordered)))
    with chunks:
        for chunk in chunks:
            run.feed(chunk)
    run.close()
    return [*_object_faults(index, run), *run.faults, *_directory_faults(index, run)]


def _index_faults(index: SeriesIndex, ordered: list[InstanceEntry]) -> Iterator[Fault]:
    end = 0
    seen: set[str] = set()
    for entry in ordered:
        uid = entry.sop_instance_uid
        if uid in seen:
            yield Fault(FaultKind.INDEX, "The index names the instance twice.", uid)
        if entry.offset < end or entry.size < 0 or entry.offset + entry.size > index.pack_size:
            detail = "The instance's range overlaps another or leaves the pack."
            yield Fault(FaultKind.INDEX, detail, uid)
        seen.add(uid)
        end = max(end, entry.offset + entry.size)


def _object_faults(index: SeriesIndex, run: _Pass) -> Iterator[Fault]:
    if run.position != index.pack_size:
        yield Fault(
            FaultKind.SIZE,
            f"The object has {run.position} bytes, the index says {index.pack_size}.",
        )
    if run.digest.hexdigest() != index.pack_sha256:
        yield Fault(FaultKind.PACK_DIGEST, "The object has another SHA-256 than the index says.")


def _directory_faults(index: SeriesIndex, run: _Pass) -> Iterator[Fault]:
    try:
        listed = {entry.name: entry for entry in parse_directory(bytes(run.tail))}
    except NotOurZip as error:
        yield Fault(FaultKind.DIRECTORY, f"The ZIP's directory is not readable: {error}.")
        return
    for instance in index.instances:
        uid = instance.sop_instance_uid
        found = listed.pop(f"{uid}.dcm", None)
        expected = ZipEntry(f"{uid}.dcm", instance.offset, instance.size, run.crcs.get(uid, 0))
        if found != expected:
            detail = "The ZIP's directory does not have the instance where the index does."
            yield Fault(FaultKind.DIRECTORY, detail, uid)
    if listed:
        yield Fault(
            FaultKind.DIRECTORY,
            f"The ZIP's directory has {len(listed)} entries more than the index.",
        )
