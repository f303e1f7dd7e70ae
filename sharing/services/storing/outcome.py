"""What became of one instance that a sender stored."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from common.archive.documents import InstanceEntry
from common.archive.pack import PackEntry
from common.dicom.part10 import Instance
from sharing.services.receiving import entry_of, json_bytes

_FAST = 1
Place = tuple[str, str]  # Study and Series Instance UID


class Failure(IntEnum):
    """Failure Reason (0008,1197): PS3.18 Annex I.2.2, PS3.4 Table B.2-1 and PS3.7 Annex C."""

    PROCESSING = 0x0110
    DUPLICATE = 0x0111  # Duplicate SOP Instance: held already, with other bytes
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    WRONG_STUDY = 0xA900  # data set does not match: another study than the address names
    NOT_UNDERSTOOD = 0xC000


@dataclass(frozen=True)
class Outcome:
    """One instance's fate; without UIDs where none could be read. ``text`` holds no values."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    failure: Failure | None = None
    text: str = ""

    @property
    def stored(self) -> bool:
        return self.failure is None


@dataclass(frozen=True)
class Item:
    """One instance that lies whole in the request's pack and is to be written into the index."""

    study_instance_uid: str
    series_instance_uid: str
    entry: InstanceEntry
    attributes: Mapping[str, Any]  # of the first of its series; empty for the others
    header: bytes  # DICOM JSON, zlib

    @property
    def place(self) -> Place:
        return self.study_instance_uid, self.series_instance_uid

    def outcome(self, failure: Failure | None = None, text: str = "") -> Outcome:
        """What is answered about it."""
        return Outcome(
            self.entry.sop_class_uid,
            self.entry.sop_instance_uid,
            self.study_instance_uid,
            self.series_instance_uid,
            failure,
            text,
        )


def item_of(instance: Instance, packed: PackEntry, *, describes: bool) -> Item:
    """What is written of one instance; ``describes``: its attributes are kept, as the first of its series."""
    return Item(
        study_instance_uid=instance.study_instance_uid,
        series_instance_uid=instance.series_instance_uid,
        entry=entry_of(instance, packed),
        attributes=instance.attributes if describes else {},
        header=zlib.compress(json_bytes(instance.attributes), _FAST),
    )
