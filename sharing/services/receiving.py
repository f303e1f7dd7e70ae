"""Parts of a retrieve answer become entries of a pack on local disk, one instance after another.

The bytes are written as they come; the header is read from the file afterwards, so memory does not grow with
the instance. What may not enter the archive goes to quarantine and out of the pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from common.archive.documents import InstanceEntry
from common.archive.pack import PackEntry, PackWriter
from common.dicom.errors import MalformedDicom
from common.dicom.part10 import Instance, read_instance
from common.dicomweb.errors import MalformedMultipart, OriginError
from common.dicomweb.multipart import IncomingPart
from sharing.domain import facts
from sharing.models import Quarantined
from sharing.services import quarantine
from sharing.services.quarantine import Asked, Region

SPECIFIC_CHARACTER_SET = "00080005"
UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}


@dataclass(frozen=True)
class Received:
    """One instance that entered the pack: its index entry and where its DICOM JSON lies in the spool."""

    entry: InstanceEntry
    json_offset: int
    json_length: int

    @property
    def order(self) -> tuple[int, str]:
        """Instance number, then UID: the order of the documents, whatever the order of arrival."""
        number = self.entry.instance_number
        return (2**40 if number is None else number, self.entry.sop_instance_uid)


class JsonSpool:
    """DICOM JSON of the instances on local disk, so that memory does not grow with the series."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._end = 0

    def add(self, raw: bytes) -> tuple[int, int]:
        self._file.write(raw)
        start = self._end
        self._end += len(raw)
        return start, len(raw)

    def read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(length)
        self._file.seek(self._end)
        return data

    def close(self) -> None:
        self._file.close()


class Receiver:
    """Collects one series into a pack.

    Args:
        asked: the series that was asked for.
        held: SHA-256 by SOP Instance UID of what the current revision holds; the first stays.
        progress: called after every chunk with the number of instances and bytes so far.
        accepted: called with each instance that entered the pack, whose bytes stay where they are.
    """

    def __init__(
        self,
        *,
        writer: PackWriter,
        spool: JsonSpool,
        asked: Asked,
        character_set: str,
        held: Mapping[str, str],
        progress: Callable[[int, int], None],
        accepted: Callable[[InstanceEntry], None] | None = None,
    ) -> None:
        self.writer = writer
        self.spool = spool
        self.asked = asked
        self.character_set = character_set
        self.held = held
        self.progress = progress
        self.accepted = accepted
        self.received: dict[str, Received] = {}
        self.confirmed: set[str] = set()  # sent again with the same bytes as the archive has
        self.quarantined = 0
        self.bytes = 0

    def take_all(self, parts: Iterable[IncomingPart]) -> OriginError | MalformedMultipart | None:
        """Take every part; returns what ended the stream early, if anything: what came before is kept."""
        try:
            for part in parts:
                self.take(part)
        except (OriginError, MalformedMultipart) as error:
            return error
        return None

    def take(self, part: IncomingPart) -> None:
        """Write one part into the pack, or into quarantine.

        Raises:
            OriginError, MalformedMultipart: the part ended early; its bytes are in quarantine.
        """
        self.writer.begin()
        try:
            for chunk in part.chunks():
                self.writer.write(chunk)
                self.bytes += len(chunk)
                self.progress(len(self.received) + len(self.confirmed), self.bytes)
        except (OriginError, MalformedMultipart) as error:
            self._refuse(Quarantined.Reason.TRUNCATED, f"The line broke inside it: {error.message}")
            raise
        except BaseException:
            self.writer.discard()
            raise
        self._settle()
        self.progress(len(self.received) + len(self.confirmed), self.bytes)

    def _settle(self) -> None:
        offset, length, sha256 = self.writer.current
        try:
            instance = read_instance(
                self.writer.file,
                offset=offset,
                length=length,
                character_set=self.character_set,
            )
        except MalformedDicom as error:
            self._refuse(Quarantined.Reason(error.reason), error.message)
            return
        uid = instance.sop_instance_uid
        if not self._is_asked_for(instance):
            self._refuse(
                Quarantined.Reason.WRONG_STUDY,
                "Its Study or Series Instance UID is not the one that was asked for.",
                uid,
            )
            return
        first = self.held.get(uid) or (
            self.received[uid].entry.sha256 if uid in self.received else None
        )
        if first is None:
            self._accept(instance, self.writer.commit(f"{uid}.dcm"))
        elif first == sha256:
            self.confirmed.add(uid)
            self.writer.discard()
        else:
            self.confirmed.add(uid)
            self._refuse(
                Quarantined.Reason.CONFLICT,
                f"An instance with this UID and other bytes is held (SHA-256 {first[:16]}…).",
                uid,
            )

    def _is_asked_for(self, instance: Instance) -> bool:
        return (
            instance.study_instance_uid == self.asked.study_instance_uid
            and instance.series_instance_uid == self.asked.series_instance_uid
        )

    def _accept(self, instance: Instance, packed: PackEntry) -> None:
        offset, length = self.spool.add(json_bytes(instance.attributes))
        entry = entry_of(instance, packed)
        self.received[entry.sop_instance_uid] = Received(entry, offset, length)
        if self.accepted is not None:
            self.accepted(entry)

    def _refuse(self, reason: Quarantined.Reason, text: str, sop_instance_uid: str = "") -> None:
        offset, length, sha256 = self.writer.current
        if length:
            self.quarantined += 1
            quarantine.keep(
                asked=self.asked,
                reason=reason,
                text=text,
                sop_instance_uid=sop_instance_uid,
                sha256=sha256,
                size_bytes=length,
                data=Region(self.writer.file, offset=offset, length=length),
            )
        self.writer.discard()


def json_bytes(attributes: Mapping[str, Any]) -> bytes:
    """One instance's DICOM JSON as one line; its text is UTF-8 and says so (PS3.18 F.2.1)."""
    if SPECIFIC_CHARACTER_SET in attributes:
        attributes = {**attributes, SPECIFIC_CHARACTER_SET: UTF_8}
    return orjson.dumps(attributes)


def entry_of(instance: Instance, packed: PackEntry) -> InstanceEntry:
    """The facts of one instance that lie in the index beside its pack."""
    return InstanceEntry(
        sop_instance_uid=instance.sop_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        instance_number=facts.number(instance.attributes, facts.INSTANCE_NUMBER),
        offset=packed.offset,
        size=packed.size,
        sha256=packed.sha256,
        frames=instance.frames,
        bulk=instance.bulk,
    )
