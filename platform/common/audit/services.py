"""Writing the trail."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection, models
from django.utils import timezone

from common import request_context
from common.audit.directory import institution_of, subjects
from common.audit.models import AuditEntry

Actor = AbstractBaseUser | AnonymousUser | str | None

_DETAIL_MOST_BYTES = 8192
COUNTED_IN_PROCESS_S = 5.0
_LOOK_EVERY_S = 1.0


class DetailTooLarge(ValueError):
    """The detail of an entry is over 8 KiB: it belongs elsewhere, the entry names where."""


def record(
    actor: Actor,
    action: str,
    obj: models.Model | None = None,
    *,
    object_type: str = "",
    object_id: str | int = "",
    institution_id: int | None = None,
    study_instance_uid: str = "",
    basis: str = "",
    purpose: str = "",
    result: str = "success",
    count: int = 1,
    detail: dict[str, Any] | None = None,
    person_key: str | None = None,
) -> AuditEntry:
    """Add one entry, in the caller's transaction: what is rolled back was not done and leaves no entry.

    Type, id, institution and study are taken from ``obj`` where it has them. Detail is JSON without patient data.
    ``person_key`` is the patient's pseudonym; where it is not given it is that of ``obj.person_id`` or of the study.

    Raises:
        DetailTooLarge: the detail is over 8 KiB as JSON.
    """
    values = _values(
        actor,
        action,
        obj,
        object_type=object_type,
        object_id=str(object_id),
        institution_id=institution_id,
        study_instance_uid=study_instance_uid,
        basis=basis,
        purpose=purpose,
        result=result,
        detail=detail or {},
        person_key=person_key,
    )
    return AuditEntry.objects.create(count=count, **_completed(values))


def record_view(
    actor: Actor,
    action: str,
    obj: models.Model | None = None,
    *,
    object_type: str = "",
    object_id: str | int = "",
    institution_id: int | None = None,
    study_instance_uid: str = "",
    basis: str = "",
    purpose: str = "",
    result: str = "success",
    detail: dict[str, Any] | None = None,
    person_key: str | None = None,
) -> None:
    """Note a read that repeats (frames of a study): one entry per person, study and purpose, with a count.

    The first read is in the database when this returns; the count of the following ones is carried over every few
    seconds, so that a crash loses at most seconds of the count and never the fact. The sequencer makes the entry
    when the reading has paused for a minute, or after ten.
    """
    given = {
        "object_type": object_type,
        "object_id": str(object_id),
        "institution_id": institution_id,
        "study_instance_uid": study_instance_uid,
        "basis": basis,
        "purpose": purpose,
        "result": result,
        "person_key": person_key,
    }
    # The same facts as of an entry, before they are made one: a viewer comes here for every frame.
    same = (
        _who(actor),
        action,
        None if obj is None else (obj._meta.label_lower, obj.pk),
        tuple(given.values()),
        json.dumps(detail, sort_keys=True) if detail else "",
        request_context.current().address,
    )
    if not counts.again(same):
        counts.note(same, _values(actor, action, obj, **given, detail=detail or {}))


def _values(actor: Actor, action: str, obj: models.Model | None, **given: Any) -> dict[str, Any]:
    if obj is not None:
        given["object_type"] = given["object_type"] or obj._meta.label_lower
        given["object_id"] = given["object_id"] or str(obj.pk)
        if given["institution_id"] is None:
            given["institution_id"] = getattr(obj, "institution_id", None)
        given["study_instance_uid"] = given["study_instance_uid"] or getattr(
            obj, "study_instance_uid", ""
        )
        person_id = getattr(obj, "person_id", None)
        if given["person_key"] is None and person_id is not None:
            given["person_key"] = subjects().key_of_person(person_id=person_id)
    if len(json.dumps(given["detail"], ensure_ascii=False).encode()) > _DETAIL_MOST_BYTES:
        raise DetailTooLarge(f"the detail of {action} is over {_DETAIL_MOST_BYTES} bytes")
    context = request_context.current()
    return _fitting(
        {
            **_actor_values(actor),
            "action": action,
            "address": context.address,
            "request_id": context.request_id,
            **given,
        }
    )


def _who(actor: Actor) -> Hashable:
    return actor.pk if isinstance(actor, AbstractBaseUser) else (str(actor) if actor else None,)


def _actor_values(actor: Actor) -> dict[str, Any]:
    if isinstance(actor, str):
        return {"actor_kind": "system", "actor_name": actor}
    if not isinstance(actor, AbstractBaseUser):
        return {"actor_kind": "anonymous"}
    return {"actor_kind": "user", "actor_id": actor.pk, "actor_name": actor.get_username()}


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values with the actor's institution and the patient's pseudonym copied in.

    As late as possible: each costs a query, and of repeated reads only the first of some seconds comes here.
    """
    values = {**values, "person_key": _pseudonym(values)}
    if values["actor_kind"] != "user":
        return values
    place = institution_of(user_id=values["actor_id"], institution_id=values["institution_id"])
    return {
        **values,
        "actor_institution_code": place.code,
        "actor_institution_name": place.name,
    }


def _pseudonym(values: dict[str, Any]) -> str:
    known: str | None = values["person_key"]
    if known is not None:
        return known
    # Without an institution nobody knows whose study it is: what was refused is noted as the absent is.
    if not values["study_instance_uid"] or values["institution_id"] is None:
        return ""
    return subjects().key_of_study(
        institution_id=values["institution_id"], study_instance_uid=values["study_instance_uid"]
    )


_LONGEST = {
    field.name: field.max_length
    for field in AuditEntry._meta.fields
    if field.max_length is not None
}


def _fitting(values: dict[str, Any]) -> dict[str, Any]:
    """Texts without NUL, cut to their columns: an odd identifier must not keep the entry from being written."""
    return {
        name: value.replace("\x00", "")[: _LONGEST.get(name)] if isinstance(value, str) else value
        for name, value in values.items()
    }


@dataclass
class _Count:
    values: dict[str, Any]
    written_at: float
    waiting: int = 0
    last_at: datetime = field(default_factory=timezone.now)


_Due = tuple[dict[str, Any], int, datetime]


class _Counts:
    """Repeated reads of this process that the database has not been told of yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Hashable, _Count] = {}
        self._looked_at = 0.0

    def again(self, same: Hashable) -> bool:
        """Count one more of what this process has written in the last seconds; else False."""
        with self._lock:
            known = self._counts.get(same)
            if known is None or time.monotonic() - known.written_at >= COUNTED_IN_PROCESS_S:
                return False
            known.waiting += 1
            known.last_at = timezone.now()
            return True

    def note(self, same: Hashable, values: dict[str, Any]) -> None:
        """Write one more, with what waited."""
        now = time.monotonic()
        with self._lock:
            known = self._counts.get(same)
            waiting = known.waiting if known else 0
            self._counts[same] = _Count(values, now)
            due = self._take_due(now)
        for item in [*due, (values, waiting + 1, timezone.now())]:
            _carry_over(*item)

    def carry_over_due(self) -> None:
        """Write the counts that have waited long enough: after every request of this process."""
        now = time.monotonic()
        if now - self._looked_at < min(_LOOK_EVERY_S, COUNTED_IN_PROCESS_S):
            return  # not for each of a viewer's requests: others may have thousands waiting
        with self._lock:
            due = self._take_due(now)
        for item in due:
            _carry_over(*item)

    def forget(self) -> None:
        """Drop what waits: between tests."""
        with self._lock:
            self._counts.clear()

    def carry_over_all(self) -> None:
        """Write every waiting count, whatever its age: when the process ends."""
        with self._lock:
            due = self._take_due(float("inf"))
        for item in due:
            _carry_over(*item)

    def _take_due(self, now: float) -> list[_Due]:
        self._looked_at = now
        old = [
            same
            for same, count in self._counts.items()
            if now - count.written_at >= COUNTED_IN_PROCESS_S
        ]
        taken = [self._counts.pop(same) for same in old]
        return [(count.values, count.waiting, count.last_at) for count in taken if count.waiting]


def _merge_key(values: dict[str, Any]) -> bytes:
    same = {name: value for name, value in values.items() if name != "request_id"}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).digest()


def _carry_over(values: dict[str, Any], count: int, last_at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO audit_repeatedaccess (key, first_at, last_at, count, values)
            VALUES (%s, %s, %s, %s, %s::jsonb)
            ON CONFLICT (key) DO UPDATE
            SET count = audit_repeatedaccess.count + EXCLUDED.count,
                last_at = greatest(audit_repeatedaccess.last_at, EXCLUDED.last_at)
            """,
            [_merge_key(values), last_at, last_at, count, json.dumps(_completed(values))],
        )


counts = _Counts()
