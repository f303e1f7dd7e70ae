"""Bytes that may not enter the archive: kept as they came, with the reason, as a case to settle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from common import audit
from common.archive import keys
from common.audit.services import Actor
from common.events import publish
from common.storage import object_store
from common.storage.port import Readable
from sharing.errors import AlreadySettled, NoteMissing
from sharing.events import InstanceConflictFound
from sharing.models import Quarantined


@dataclass(frozen=True)
class Asked:
    """What was asked of the hospital, or named by the sender, when the bytes came; empty: not known."""

    institution_id: int
    institution_code: str
    study_instance_uid: str
    series_instance_uid: str


class Region:
    """A read-only view of one region of a file, as a stream."""

    def __init__(self, file: BinaryIO, *, offset: int, length: int) -> None:
        self._file = file
        self._at = offset
        self._end = offset + length

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._at
        size = left if size < 0 else min(size, left)
        self._file.seek(self._at)
        data = self._file.read(size)
        self._at += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(1 << 20):
            yield chunk


def keep(
    *,
    asked: Asked,
    reason: Quarantined.Reason,
    text: str,
    sop_instance_uid: str,
    sha256: str,
    size_bytes: int,
    data: Readable,
    actor: Actor = "puller",
) -> None:
    """Store the bytes and open the case; the same bytes for the same request only count up."""
    store = object_store()
    key = keys.quarantine_key(asked.institution_code, sha256)
    store.put_stream(key, data)
    now = timezone.now()
    facts = {
        "version": 1,
        "study_instance_uid": asked.study_instance_uid,
        "series_instance_uid": asked.series_instance_uid,
        "sop_instance_uid": sop_instance_uid[:64],
        "reason": str(reason),
        "text": text[:500],
        "sha256": sha256,
        "size_bytes": size_bytes,
        "at": now.isoformat(),
    }
    store.put_bytes(case_key(key, asked, reason), orjson.dumps(facts))
    open_case(institution_id=asked.institution_id, key=key, facts=facts, actor=actor)


def case_key(key: str, asked: Asked, reason: str) -> str:
    """Where the facts of a case lie beside its bytes, so that the index can be rebuilt from the bucket."""
    study, series = asked.study_instance_uid or "none", asked.series_instance_uid or "none"
    return f"{key}.{study}.{series}.{reason}.json"


@transaction.atomic
def open_case(
    *, institution_id: int, key: str, facts: dict[str, Any], actor: Actor = "puller"
) -> Quarantined:
    """Write the row of a case, or count it up when it is known."""
    case, created = Quarantined.objects.get_or_create(
        institution_id=institution_id,
        study_instance_uid=facts["study_instance_uid"],
        series_instance_uid=facts["series_instance_uid"],
        sha256=facts["sha256"],
        reason=facts["reason"],
        defaults={
            "sop_instance_uid": facts["sop_instance_uid"],
            "text": facts["text"],
            "size_bytes": facts["size_bytes"],
            "object_key": key,
            "first_at": facts["at"],
            "last_at": facts["at"],
        },
    )
    if created:
        audit.record(
            actor,
            "instance.quarantine",
            object_type="quarantined",
            object_id=str(case.pk),
            institution_id=institution_id,
            detail={"reason": str(facts["reason"])},
        )
        if facts["reason"] == Quarantined.Reason.CONFLICT:
            publish(InstanceConflictFound(institution_id=institution_id, quarantined_id=case.pk))
    else:
        Quarantined.objects.filter(pk=case.pk).update(times=F("times") + 1, last_at=facts["at"])
    return case


def find_case(*, institution_id: int, facts: dict[str, Any]) -> Quarantined | None:
    """The case of these facts, if its row exists."""
    return Quarantined.objects.filter(
        institution_id=institution_id,
        **{
            name: facts[name]
            for name in ("study_instance_uid", "series_instance_uid", "sha256", "reason")
        },
    ).first()


def settle_truncated(*, institution_id: int, series_instance_uid: str) -> int:
    """Close the cases of cut-off transmissions of a series that has since arrived whole."""
    return Quarantined.objects.filter(
        institution_id=institution_id,
        series_instance_uid=series_instance_uid,
        reason=Quarantined.Reason.TRUNCATED,
        state=Quarantined.State.OPEN,
    ).update(
        state=Quarantined.State.SETTLED,
        settled_at=timezone.now(),
        settled_by="puller",
        settled_note="The series has arrived whole.",
    )


@transaction.atomic
def settle(*, actor: Actor, case_id: int, note: str, resolution: str = "") -> None:
    """Close a case with a note of what was found. The bytes stay in quarantine.

    Without a resolution what is in the archive stays as it is: of a conflict ours is kept, all else is not taken in.

    Raises:
        NoteMissing: a case is not closed without a word.
        AlreadySettled: somebody has closed it.
    """
    note = note.replace("\x00", "").strip()
    if not note:
        raise NoteMissing
    case = Quarantined.objects.select_for_update(no_key=True).filter(pk=case_id).first()
    if case is None or case.state != Quarantined.State.OPEN:
        raise AlreadySettled
    conflict = case.reason == Quarantined.Reason.CONFLICT
    case.state = Quarantined.State.SETTLED
    case.settled_at, case.settled_by = timezone.now(), str(actor)[:150]
    case.settled_note = note[:300]
    case.resolution = resolution or (
        Quarantined.Resolution.KEPT if conflict else Quarantined.Resolution.REJECTED
    )
    case.save()
    audit.record(
        actor,
        "quarantine.settle",
        object_type="quarantined",
        object_id=str(case_id),
        institution_id=case.institution_id,
        study_instance_uid=case.study_instance_uid,
        detail={"resolution": case.resolution},
    )
