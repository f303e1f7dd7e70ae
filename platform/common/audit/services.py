"""Writing the trail."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection, models
from django.utils import timezone

from common import request_context
from common.audit.directory import institution_of
from common.audit.models import AuditEntry

Actor = AbstractBaseUser | AnonymousUser | str | None

_DETAIL_MOST_BYTES = 8192
COUNTED_IN_PROCESS_S = 5.0


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
) -> AuditEntry:
    """Add one entry, in the caller's transaction: what is rolled back was not done and leaves no entry.

    Type, id, institution and study are taken from ``obj`` where it has them. Detail is JSON without patient data.

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
    )
    return AuditEntry.objects.create(count=count, **_with_institution(values))


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
) -> None:
    """Note a read that repeats (frames of a study): one entry per person, study and purpose, with a count.

    The first read is in the database when this returns; the count of the following ones is carried over every few
    seconds, so that a crash loses at most seconds of the count and never the fact. The sequencer makes the entry
    when the reading has paused for a minute, or after ten.
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
        detail={},
    )
    counts.note(values)


def _values(actor: Actor, action: str, obj: models.Model | None, **given: Any) -> dict[str, Any]:
    if obj is not None:
        given["object_type"] = given["object_type"] or obj._meta.label_lower
        given["object_id"] = given["object_id"] or str(obj.pk)
        if given["institution_id"] is None:
            given["institution_id"] = getattr(obj, "institution_id", None)
        given["study_instance_uid"] = given["study_instance_uid"] or getattr(
            obj, "study_instance_uid", ""
        )
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


def _actor_values(actor: Actor) -> dict[str, Any]:
    if isinstance(actor, str):
        return {"actor_kind": "system", "actor_name": actor}
    if not isinstance(actor, AbstractBaseUser):
        return {"actor_kind": "anonymous"}
    return {"actor_kind": "user", "actor_id": actor.pk, "actor_name": actor.get_username()}


def _with_institution(values: dict[str, Any]) -> dict[str, Any]:
    """The values with the actor's institution copied in: as late as possible, it costs a query."""
    if values["actor_kind"] != "user":
        return values
    place = institution_of(user_id=values["actor_id"])
    return {
        **values,
        "actor_institution_code": place.code,
        "actor_institution_name": place.name,
    }


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


class _Counts:
    """Repeated reads of this process that the database has not been told of yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[bytes, _Count] = {}

    def note(self, values: dict[str, Any]) -> None:
        key = _merge_key(values)
        now = time.monotonic()
        with self._lock:
            due = self._take_due(now, but=key)
            known = self._counts.get(key)
            if known is None or now - known.written_at >= COUNTED_IN_PROCESS_S:
                waiting = known.waiting if known else 0
                self._counts[key] = _Count(values, now)
                due.append((key, values, waiting + 1, timezone.now()))
            else:
                known.waiting += 1
                known.last_at = timezone.now()
        for item in due:
            _carry_over(*item)

    def carry_over_due(self) -> None:
        """Write the counts that have waited long enough: after every request of this process."""
        with self._lock:
            due = self._take_due(time.monotonic(), but=b"")
        for item in due:
            _carry_over(*item)

    def forget(self) -> None:
        """Drop what waits: between tests."""
        with self._lock:
            self._counts.clear()

    def carry_over_all(self) -> None:
        """Write every waiting count, whatever its age: when the process ends."""
        with self._lock:
            due = self._take_due(float("inf"), but=b"")
        for item in due:
            _carry_over(*item)

    def _take_due(
        self, now: float, *, but: bytes
    ) -> list[tuple[bytes, dict[str, Any], int, datetime]]:
        old = [
            key
            for key, count in self._counts.items()
            if key != but and now - count.written_at >= COUNTED_IN_PROCESS_S
        ]
        taken = [(key, self._counts.pop(key)) for key in old]
        return [(key, c.values, c.waiting, c.last_at) for key, c in taken if c.waiting]


def _merge_key(values: dict[str, Any]) -> bytes:
    same = {name: value for name, value in values.items() if name != "request_id"}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).digest()


def _carry_over(key: bytes, values: dict[str, Any], count: int, last_at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO audit_repeatedaccess (key, first_at, last_at, count, values)
            VALUES (%s, %s, %s, %s, %s::jsonb)
            ON CONFLICT (key) DO UPDATE
            SET count = audit_repeatedaccess.count + EXCLUDED.count,
                last_at = greatest(audit_repeatedaccess.last_at, EXCLUDED.last_at)
            """,
            [key, last_at, last_at, count, json.dumps(_with_institution(values))],
        )


counts = _Counts()
