"""Deletion of a study: gone from the index at once, from the bucket after a time of grace (ADR 0016).

A deletion takes the index rows away and leaves a tombstone, in the database and in the bucket. An undo writes the
rows again from the bucket, as a rebuild would.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Sum
from django.db.models.functions import Collate
from django.utils import timezone

from common import audit
from common.archive import keys
from common.audit.services import Actor
from common.errors import NotFound
from common.storage import object_store
from common.storage.cache import forget_object
from hospitals import selectors as hospital_selectors
from sharing.errors import NotDeleted, ReasonMissing, StudyBeingStored, StudyIsDeleted
from sharing.models import Deletion, Quarantined, ReceivedInstance, Series, Study
from sharing.services import gathering, holding
from sharing.services.locks import GATHER, PURGE, if_free, one_at_a_time

log = structlog.get_logger(__name__)

JSON_TYPE = "application/json"
_ROUNDS = 3
_MOST_LEFT, _MOST_LEFT_BYTES = 500, 256 * 2**20  # packed in few seconds


def delete_study(
    *, actor: Actor, institution_id: int, study_instance_uid: str, reason: str
) -> Deletion:
    """Hide a study at once and have it purged after the time of grace.

    Asked again, the deletion in force is returned.

    Raises:
        ReasonMissing: not one of the known codes.
        UnderLegalHold: it may not be deleted.
        NotFound: the institution has no such study.
        StudyBeingStored: very much of it is being stored.
    """
    if reason not in Deletion.Reason.values:
        raise ReasonMissing(
            "Name a reason: " + ", ".join(str(value) for value in Deletion.Reason.values) + "."
        )
    known = in_force(institution_id=institution_id, study_instance_uid=study_instance_uid)
    if known is not None:
        return known
    study = Study.objects.filter(
        institution_id=institution_id, study_instance_uid=study_instance_uid
    ).first()
    if study is None:
        raise NotFound("There is no such study.")
    holding.require_none(institution_id=institution_id, study_instance_uid=study_instance_uid)
    deletion = _delete_packed(actor, study.pk, reason)
    keep_in_bucket(deletion)
    return deletion


def _delete_packed(actor: Actor, study_pk: int, reason: str) -> Deletion:
    """Pack what waits, so that the bucket alone can bring it back, and take the rows away.

    While a sender goes on storing, each round leaves less to be packed, and the rest is packed while the sender waits.

    Raises:
        StudyBeingStored: more comes than can be packed meanwhile.
    """
    for _ in range(_ROUNDS):
        for series_id in _waiting_series(study_pk):
            gathering.gather(series_id=series_id)
        with ExitStack() as alone:
            series_ids = _waiting_series(study_pk)
            # Before any row is locked: who gathers waits for rows while it is alone.
            for series_id in series_ids:
                alone.enter_context(one_at_a_time(GATHER, series_id))
            with suppress(StudyBeingStored):
                return _take_rows_away(actor, study_pk, reason, series_ids)
    raise StudyBeingStored


def _waiting_series(study_pk: int) -> list[int]:
    waiting = Series.objects.filter(study_id=study_pk, newest_received__gt=0)
    return list(waiting.order_by("pk").values_list("pk", flat=True))


def _pack_the_rest(study_pk: int, series_ids: list[int]) -> None:
    """Senders wait for this, so it is little; ``series_ids`` are those that the caller is alone with.

    Raises:
        StudyBeingStored: it is much, or of another series.
    """
    rest = ReceivedInstance.objects.filter(series__study_id=study_pk, packed_at=None)
    found = rest.aggregate(count=Count("pk"), size=Sum("size_bytes"))
    others = rest.exclude(series_id__in=series_ids)
    if found["count"] > _MOST_LEFT or (found["size"] or 0) > _MOST_LEFT_BYTES or others.exists():
        raise StudyBeingStored
    for series_id in series_ids:
        gathering.pack_waiting(series_id=series_id)
    if rest.exists():
        raise StudyBeingStored


@transaction.atomic
def _take_rows_away(actor: Actor, study_pk: int, reason: str, series_ids: list[int]) -> Deletion:
    # Locks in the order of the services that store: series by their UIDs, study. From here on senders wait.
    series = Series.objects.select_for_update().filter(study_id=study_pk)
    list(series.order_by(Collate("series_instance_uid", "C")))
    study = Study.objects.select_for_update().filter(pk=study_pk).first()
    if study is None:
        raise NotFound("There is no such study.")
    uids: dict[str, Any] = {
        "institution_id": study.institution_id,
        "study_instance_uid": study.study_instance_uid,
    }
    holding.require_none(**uids)
    _pack_the_rest(study.pk, series_ids)
    study.refresh_from_db()
    now = timezone.now()
    deletion = Deletion.objects.create(
        **uids,
        study_pk=study.pk,
        reason=reason,
        deleted_by=_name(actor),
        deleted_at=now,
        purge_after=now + timedelta(hours=settings.DELETION_GRACE_H),
        instance_count=study.instance_count,
        size_bytes=study.size_bytes,
    )
    audit.record(
        actor, "study.delete", object_type="sharing.study", object_id=study.pk,
        purpose="deletion", count=max(study.instance_count, 1), detail={"reason": reason}, **uids,
    )  # fmt: skip
    study.series.update(current=None)
    study.delete()
    return deletion


def in_force(*, institution_id: int, study_instance_uid: str) -> Deletion | None:
    """The deletion of a study that nobody has undone, purged or not."""
    return Deletion.objects.filter(
        institution_id=institution_id, study_instance_uid=study_instance_uid, lifted_at=None
    ).first()


def in_force_among(
    *, institution_id: int, study_instance_uids: Iterable[str]
) -> dict[str, Deletion]:
    """The deletions in force of these studies, by Study Instance UID."""
    found = Deletion.objects.filter(
        institution_id=institution_id,
        study_instance_uid__in=set(study_instance_uids),
        lifted_at=None,
    )
    return {deletion.study_instance_uid: deletion for deletion in found}


def refuses_stores(deletion: Deletion) -> bool:
    """Whether the study can still be brought back, or is being purged at this moment."""
    return deletion.purged_at is None or deletion.kept_at is None


def make_way(*, institution_id: int, study_instance_uid: str, actor: Actor) -> None:
    """Let a sender store a study anew whose bytes were purged; within the grace it may not.

    Raises:
        StudyIsDeleted: it can still be brought back, or is being purged at this moment.
    """
    deletion = in_force(institution_id=institution_id, study_instance_uid=study_instance_uid)
    if deletion is None:
        return
    if refuses_stores(deletion):
        raise StudyIsDeleted(study_instance_uid=study_instance_uid)
    _lift(deletion, actor)


def keep_in_bucket(deletion: Deletion) -> None:
    """Write the tombstone beside the study's objects, so that a rebuilt index keeps it."""
    code = hospital_selectors.institution_facts(deletion.institution_id).code
    facts = {
        "version": 1,
        "study_pk": deletion.study_pk,
        "reason": deletion.reason,
        "deleted_by": deletion.deleted_by,
        "deleted_at": deletion.deleted_at.isoformat(),
        "purge_after": deletion.purge_after.isoformat(),
        "instances": deletion.instance_count,
        "bytes": deletion.size_bytes,
        "purged_at": deletion.purged_at.isoformat() if deletion.purged_at else None,
        "lifted_at": deletion.lifted_at.isoformat() if deletion.lifted_at else None,
        "lifted_by": deletion.lifted_by,
    }
    key = keys.deletion_key(code, deletion.study_instance_uid)
    object_store().put_bytes(key, orjson.dumps(facts), content_type=JSON_TYPE)
    Deletion.objects.filter(pk=deletion.pk).update(kept_at=timezone.now())


def lift(*, actor: Actor, institution_id: int, study_instance_uid: str) -> Deletion:
    """Take back a deletion within its grace: the tombstone goes; ``rebuilding.bring_back`` writes the rows.

    Raises:
        NotDeleted: no deletion is in force, or the bytes are gone.
    """
    with transaction.atomic():
        deletion = (
            Deletion.objects.select_for_update()
            .filter(
                institution_id=institution_id,
                study_instance_uid=study_instance_uid,
                lifted_at=None,
                purged_at=None,
            )
            .first()
        )
        if deletion is None:
            raise NotDeleted
        _lift(deletion, actor)
        audit.record(
            actor, "study.undelete", object_type="sharing.study", object_id=deletion.study_pk,
            institution_id=institution_id, study_instance_uid=study_instance_uid, purpose="deletion",
        )  # fmt: skip
    keep_in_bucket(deletion)
    return deletion


def _lift(deletion: Deletion, actor: Actor) -> None:
    deletion.lifted_at, deletion.lifted_by = timezone.now(), _name(actor)
    deletion.kept_at = None
    deletion.save(update_fields=["lifted_at", "lifted_by", "kept_at"])


def _name(actor: Actor) -> str:
    name = actor if isinstance(actor, str) else getattr(actor, "username", "")
    return str(name or "system")[:150]


def purge_due(*, limit: int = 100) -> int:
    """Remove the bytes of studies whose grace has ended; returns how many. A legal hold keeps them.

    One at a time, wherever it runs: a second one that is late would remove what was stored anew after the first.
    """
    with if_free(PURGE, 0) as mine:
        return _purge_due(limit) if mine else 0


def _purge_due(limit: int) -> int:
    for unfinished in Deletion.objects.filter(kept_at=None)[:limit]:
        # The process died between the row and the bucket.
        if unfinished.purged_at and not unfinished.lifted_at:
            finish_purge(unfinished)
        else:
            keep_in_bucket(unfinished)
    due = Deletion.objects.filter(
        purged_at=None, lifted_at=None, purge_after__lt=timezone.now()
    ).order_by("purge_after")
    return sum(_purge(deletion) for deletion in due[:limit])


def _purge(deletion: Deletion) -> bool:
    uids: dict[str, Any] = {
        "institution_id": deletion.institution_id,
        "study_instance_uid": deletion.study_instance_uid,
    }
    if holding.find(**uids) is not None:
        log.info("purge.held", deletion_id=deletion.pk)
        return False
    with transaction.atomic():
        # From here on it cannot be undone.
        changed = Deletion.objects.filter(pk=deletion.pk, purged_at=None, lifted_at=None).update(
            purged_at=timezone.now(), kept_at=None
        )
        if not changed:
            return False
        if holding.find(**uids) is not None:  # set meanwhile; from now on one waits for this row
            transaction.set_rollback(True)
            return False
        audit.record(
            "purger", "study.purge", object_type="sharing.study", object_id=deletion.study_pk,
            count=max(deletion.instance_count, 1), purpose="deletion", **uids,
        )  # fmt: skip
    deletion.refresh_from_db()
    finish_purge(deletion)
    return True


def finish_purge(deletion: Deletion) -> None:
    """Remove the objects of a purged study; again does nothing. The tombstone stays."""
    code = hospital_selectors.institution_facts(deletion.institution_id).code
    store = object_store()
    marks = {
        keys.deletion_key(code, deletion.study_instance_uid),
        keys.hold_key(code, deletion.study_instance_uid),
    }
    for stat in list(store.list(keys.study_prefix(code, deletion.study_instance_uid))):
        if stat.key not in marks:
            store.delete(stat.key)
            forget_object(stat.key)  # other machines' copies leave their caches by age
    _purge_cases(deletion, code)
    keep_in_bucket(deletion)


def _purge_cases(deletion: Deletion, code: str) -> None:
    """Bytes of the study that lie in quarantine go too; their cases stay, closed, without bytes."""
    cases = Quarantined.objects.filter(
        institution_id=deletion.institution_id, study_instance_uid=deletion.study_instance_uid
    )
    store = object_store()
    for case in cases:
        series = case.series_instance_uid or "none"
        store.delete(f"{case.object_key}.{case.study_instance_uid}.{series}.{case.reason}.json")
        others = Quarantined.objects.filter(object_key=case.object_key).exclude(
            study_instance_uid=case.study_instance_uid
        )
        if not others.exists():
            store.delete(case.object_key)
    cases.filter(state=Quarantined.State.OPEN).update(
        state=Quarantined.State.SETTLED,
        settled_at=timezone.now(),
        settled_by="purger",
        settled_note=f"The study of {code} was deleted and purged.",
    )
