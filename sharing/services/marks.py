"""Deletions and legal holds from the bucket, when the index is rebuilt (ADR 0016)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import orjson

from common.archive import keys
from common.storage import object_store
from sharing.models import Deletion, LegalHold


class Counted(Protocol):
    """What a rebuild counts."""

    deletions: int
    holds: int
    unusable: list[str]


def restore_marks(
    institution_id: int, code: str, study_uid: str, kinds: Iterable[str], done: Counted
) -> bool:
    """Write the rows of what marks a study; True when it stays deleted, so that no index row is written."""
    deleted = False
    for kind in kinds:
        name = keys.hold_key if kind == "hold" else keys.deletion_key
        key = name(code, study_uid)
        uids = {"institution_id": institution_id, "study_instance_uid": study_uid}
        try:
            facts: dict[str, Any] = orjson.loads(object_store().get_bytes(key))
            if kind == "hold":
                _restore_hold(uids, facts, done)
            else:
                deleted = _restore_deletion(uids, facts, done)
        except (ValueError, TypeError, LookupError) as error:
            done.unusable.append(f"{key}: not a {kind} ({type(error).__name__})")
    return deleted


def _restore_hold(uids: dict[str, Any], facts: dict[str, Any], done: Counted) -> None:
    known = LegalHold.objects.filter(**uids, set_at=facts["set_at"])
    if known.exists() or (
        facts["released_at"] is None and LegalHold.objects.filter(**uids, released_at=None).exists()
    ):
        return
    LegalHold.objects.create(
        **uids,
        reference=facts["reference"],
        set_by=facts["set_by"],
        set_at=datetime.fromisoformat(facts["set_at"]),
        released_by=facts["released_by"],
        released_at=_instant(facts["released_at"]),
    )
    done.holds += 1


def _restore_deletion(uids: dict[str, Any], facts: dict[str, Any], done: Counted) -> bool:
    """Whether the study stays away. What was stored after a purge is there again."""
    purged, lifted = _instant(facts["purged_at"]), _instant(facts["lifted_at"])
    known = Deletion.objects.filter(**uids, deleted_at=facts["deleted_at"]).first()
    if known is None:
        in_force = Deletion.objects.filter(**uids, lifted_at=None).exists()
        known = None if in_force and lifted is None else _create(uids, facts, purged, lifted)
        done.deletions += known is not None
    if known is None:
        return True
    return known.lifted_at is None and known.purged_at is None


def _create(
    uids: dict[str, Any], facts: dict[str, Any], purged: datetime | None, lifted: datetime | None
) -> Deletion:
    deleted_at = datetime.fromisoformat(facts["deleted_at"])
    return Deletion.objects.create(
        **uids,
        study_pk=facts["study_pk"],
        reason=facts["reason"],
        deleted_by=facts["deleted_by"],
        deleted_at=deleted_at,
        purge_after=datetime.fromisoformat(facts["purge_after"]),
        instance_count=facts["instances"],
        size_bytes=facts["bytes"],
        kept_at=deleted_at,
        purged_at=purged,
        lifted_at=lifted,
        lifted_by=facts["lifted_by"],
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
