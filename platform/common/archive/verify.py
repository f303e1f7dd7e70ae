"""Proof that a pack in the store is what its index says: one pass over the object, constant memory."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from common.storage import ObjectMissing, ObjectStore

from .digest import PackDigest
from .documents import WHOLE_SHA256, InstanceEntry, SeriesIndex
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


class _Pass:
    """What one pass over the object has found so far: stretch by stretch, each byte hashed once.

    A stretch is an instance, or what lies between two of them (a local header), or what follows the last one
    (the directory); ``until`` is where the open one ends, None for what goes on to the end of the object.
    """

    def __init__(self, ordered: list[InstanceEntry], *, tail_room: int, whole: bool) -> None:
        self.ordered = ordered
        self.tail_room = tail_room
        self.digest = PackDigest()
        self.whole = hashlib.sha256() if whole else None
        self.position = 0
        self._crc32 = 0
        self.next_instance = 0
        self.tail = bytearray()
        self.crcs: dict[str, int] = {}
        self.faults: list[Fault] = []
        self._open_gap()
        self._go_on()

    def feed(self, chunk: bytes) -> None:
        if self.whole is not None:
            self.whole.update(chunk)
        view = memoryview(chunk)
        while view:
            piece = view if self.until is None else view[: self.until - self.position]
            self._sha256.update(piece)
            if self.entry is not None:
                self._crc32 = zlib.crc32(piece, self._crc32)
            elif self.until is None and len(self.tail) <= self.tail_room:
                self.tail += piece
            self.position += len(piece)
            view = view[len(piece) :]
            self._go_on()

    def close(self) -> None:
        """The object has ended: report the instances that it ended before."""
        self._settle()
        for entry in self.ordered[self.next_instance :]:
            detail = "The object ends before the instance does."
            self.faults.append(Fault(FaultKind.INSTANCE_DIGEST, detail, entry.sop_instance_uid))

    def pack_digest(self) -> str:
        """Of the whole object, in the form that the index has."""
        return (self.whole or self.digest).hexdigest()

    def _go_on(self) -> None:
        while self.position == self.until:
            self._settle()
            if self.entry is None:
                entry = self.ordered[self.next_instance]
                self._open(entry, entry.offset + entry.size)
            else:
                self._finish(self.entry)
                self._open_gap()

    def _settle(self) -> None:
        """Enter the open stretch, as far as it came, into the table."""
        size = self.position - self._start
        if size or self.entry is not None:
            self.digest.add(offset=self._start, size=size, sha256=self._sha256.digest())

    def _finish(self, entry: InstanceEntry) -> None:
        self.next_instance += 1
        self.crcs[entry.sop_instance_uid] = self._crc32
        if self._sha256.hexdigest() != entry.sha256:
            detail = "The instance's bytes have another SHA-256 than the index says."
            self.faults.append(Fault(FaultKind.INSTANCE_DIGEST, detail, entry.sop_instance_uid))

    def _open_gap(self) -> None:
        more = self.next_instance < len(self.ordered)
        self._open(None, self.ordered[self.next_instance].offset if more else None)

    def _open(self, entry: InstanceEntry | None, until: int | None) -> None:
        self.entry, self.until = entry, until
        self._start, self._crc32 = self.position, 0
        self._sha256 = hashlib.sha256()


def verify_pack(store: ObjectStore, index: SeriesIndex) -> list[Fault]:
    """Read the pack once and list what differs from the index; nothing means proved.

    Compared are size and digest of the pack (which covers every byte), SHA-256 of every instance's range,
    and the ZIP's own directory. Memory: one chunk and the directory.

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
    whole = index.version == WHOLE_SHA256
    run = _Pass(ordered, tail_room=directory_room(len(ordered)), whole=whole)
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
    if run.pack_digest() != index.pack_digest:
        yield Fault(FaultKind.PACK_DIGEST, "The object has another digest than the index says.")


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
