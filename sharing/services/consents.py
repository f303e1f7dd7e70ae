"""A patient's consent: who may see which examinations, until when; given at a desk, withdrawn at any time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from common import audit
from common.dicom.uids import is_valid_uid
from sharing.domain import access_terms
from sharing.errors import ConsentInvalid
from sharing.models import Consent
from sharing.permissions import forget_sights, registers_at, require_desk

if TYPE_CHECKING:
    from common.accounts.models import User
    from common.audit.services import Actor
    from sharing.models import LocalPatient

_MOST_NAMED = 100


@dataclass(frozen=True)
class ConsentScope:
    """What the patient lets be seen; nothing named narrows nothing."""

    modalities: Collection[str] = ()
    held_by: Collection[int] = ()  # institutions, by id
    study_instance_uids: Collection[str] = ()
    since: date | None = None


@transaction.atomic
def give_consent(
    *,
    actor: Actor,
    patient: LocalPatient,
    institution_id: int,
    given: str,
    scope: ConsentScope | None = None,
    user: User | None = None,
    expires_at: datetime | None = None,
) -> Consent:
    """Note that the patient lets readers of an institution, or one of them, see; for 90 days unless told.

    It is noted by those who register for that institution, or where the patient is registered.

    Raises:
        NotPermitted: ``actor`` registers for neither.
        ConsentInvalid: scope, kind or term do not fit.
    """
    if patient.institution_id != institution_id:
        _require_either(actor, patient.institution_id, institution_id)
    else:
        require_desk(actor, institution_id)
    scope = _checked(scope or ConsentScope(), given)
    now = timezone.now()
    ends = expires_at or now + access_terms.USUAL_CONSENT
    if not now < ends <= now + access_terms.LONGEST_CONSENT:
        raise ConsentInvalid("A consent ends in the future, within five years.")
    consent = Consent.objects.create(
        person_id=patient.person_id,
        patient=patient,
        institution_id=institution_id,
        user=user,
        modalities=sorted(scope.modalities),
        held_by=sorted(scope.held_by),
        study_instance_uids=sorted(scope.study_instance_uids),
        since=scope.since,
        given=given,
        given_at=now,
        expires_at=ends,
        recorded_by_id=None if actor is None or isinstance(actor, str) else actor.pk,
    )
    _record(actor, "consent.give", consent)
    forget_sights()
    return consent


@transaction.atomic
def withdraw_consent(*, actor: Actor, consent: Consent) -> Consent:
    """The patient takes it back: it works within five seconds, and what was seen stays in the audit.

    Raises:
        NotPermitted: ``actor`` registers neither for the readers' institution nor for the patient's.
    """
    _require_either(actor, consent.patient.institution_id, consent.institution_id)
    row = Consent.objects.select_for_update(no_key=True).get(pk=consent.pk)
    if row.withdrawn_at is None:
        row.withdrawn_at = timezone.now()
        row.save(update_fields=["withdrawn_at"])
        _record(actor, "consent.withdraw", row)
        forget_sights()
    return row


def _require_either(actor: Actor, first: int, second: int) -> None:
    from_ = registers_at(actor) if not isinstance(actor, str) else frozenset()
    require_desk(actor, first if first in from_ else second)


def _checked(scope: ConsentScope, given: str) -> ConsentScope:
    modalities = {each.strip().upper() for each in scope.modalities if each.strip()}
    uids = {each.strip() for each in scope.study_instance_uids if each.strip()}
    held_by = set(scope.held_by)
    if given not in Consent.Given.values:
        raise ConsentInvalid("A consent is given on paper, at the desk or electronically.")
    if any(len(each) > 16 for each in modalities) or not all(map(is_valid_uid, uids)):
        raise ConsentInvalid("A modality or a study of the scope is not valid.")
    if max(len(modalities), len(uids), len(held_by)) > _MOST_NAMED:
        raise ConsentInvalid("A scope names at most a hundred of each.")
    return ConsentScope(modalities, held_by, uids, scope.since)


def _record(actor: Actor, action: str, consent: Consent) -> None:
    audit.record(
        actor,
        action,
        consent,
        basis="consent",
        purpose="treatment",
        person_key=consent.person.key,
        detail={
            "given": consent.given,
            "expires_at": consent.expires_at.isoformat(),
            "user": consent.user_id,
            "modalities": consent.modalities,
            "held_by": consent.held_by,
            "studies": len(consent.study_instance_uids),
            "since": consent.since.isoformat() if consent.since else None,
        },
    )
