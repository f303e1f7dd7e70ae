"""Legal hold (法律保全): a study that may be neither deleted nor purged until the hold is released."""

from __future__ import annotations

import orjson
from django.db import transaction
from django.utils import timezone

from common import audit
from common.archive import keys
from common.audit.services import Actor
from common.dicom.uids import is_valid_uid
from common.errors import NotFound
from common.storage import object_store
from hospitals import selectors as hospital_selectors
from sharing.errors import NoteMissing, NotUnderLegalHold, UnderLegalHold
from sharing.models import Deletion, LegalHold


def find(*, institution_id: int, study_instance_uid: str) -> LegalHold | None:
    """The hold in force on a study."""
    return LegalHold.objects.filter(
        institution_id=institution_id, study_instance_uid=study_instance_uid, released_at=None
    ).first()


def require_none(*, institution_id: int, study_instance_uid: str) -> None:
    """Refuse while a hold is in force.

    Raises:
        UnderLegalHold: it is.
    """
    if find(institution_id=institution_id, study_instance_uid=study_instance_uid) is not None:
        raise UnderLegalHold


def set_hold(
    *, actor: Actor, institution_id: int, study_instance_uid: str, reference: str
) -> LegalHold:
    """Put a study under hold, deleted or not, here or not yet. Again: the hold in force is returned.

    Raises:
        NotFound: this is no study's UID.
        NoteMissing: a hold names the case's file number.
    """
    if not is_valid_uid(study_instance_uid):
        raise NotFound("This is no Study Instance UID.")
    if not reference.strip():
        raise NoteMissing("A legal hold names the file number of its case.")
    with transaction.atomic():
        # A purge of the study that has begun is waited for; one that begins later sees the hold.
        deletions = Deletion.objects.select_for_update().filter(
            institution_id=institution_id, study_instance_uid=study_instance_uid, lifted_at=None
        )
        list(deletions)
        hold, created = LegalHold.objects.get_or_create(
            institution_id=institution_id,
            study_instance_uid=study_instance_uid,
            released_at=None,
            defaults={
                "reference": reference.strip()[:100],
                "set_by": _name(actor),
                "set_at": timezone.now(),
            },
        )
        if created:
            _record(actor, "study.hold", hold)
    keep_in_bucket(hold)
    return hold


def release_hold(*, actor: Actor, institution_id: int, study_instance_uid: str) -> LegalHold:
    """Release the hold in force.

    Raises:
        NotUnderLegalHold: there is none.
    """
    with transaction.atomic():
        hold = (
            LegalHold.objects.select_for_update()
            .filter(
                institution_id=institution_id,
                study_instance_uid=study_instance_uid,
                released_at=None,
            )
            .first()
        )
        if hold is None:
            raise NotUnderLegalHold
        hold.released_at, hold.released_by = timezone.now(), _name(actor)
        hold.save(update_fields=["released_at", "released_by"])
        _record(actor, "study.release", hold)
    keep_in_bucket(hold)
    return hold


def keep_in_bucket(hold: LegalHold) -> None:
    """Write the hold beside the study's objects, so that a rebuilt index keeps it."""
    facts = {
        "version": 1,
        "reference": hold.reference,
        "set_by": hold.set_by,
        "set_at": hold.set_at.isoformat(),
        "released_by": hold.released_by,
        "released_at": hold.released_at.isoformat() if hold.released_at else None,
    }
    code = hospital_selectors.institution_facts(hold.institution_id).code
    object_store().put_bytes(
        keys.hold_key(code, hold.study_instance_uid),
        orjson.dumps(facts),
        content_type="application/json",
    )


def _record(actor: Actor, action: str, hold: LegalHold) -> None:
    audit.record(
        actor,
        action,
        object_type="sharing.legalhold",
        object_id=hold.pk,
        institution_id=hold.institution_id,
        study_instance_uid=hold.study_instance_uid,
        purpose="legal-hold",
    )


def _name(actor: Actor) -> str:
    name = actor if isinstance(actor, str) else getattr(actor, "username", "")
    return str(name or "system")[:150]
