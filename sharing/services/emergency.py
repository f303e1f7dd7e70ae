"""Break-glass: one account sees one person's examinations for four hours; the patient is told, and it is reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from common import audit, events
from common.errors import NotPermitted
from sharing.domain import access_terms
from sharing.errors import ReasonTooShort
from sharing.events import EmergencyAccessOpened
from sharing.models import EmergencyAccess, LocalPatient
from sharing.permissions import Basis, emergencies_in_force, forget_sights, treats_at

if TYPE_CHECKING:
    from common.accounts.models import User
    from sharing.models import Person


@transaction.atomic
def break_glass(
    *, actor: User, person: Person, reason: str, institution_id: int | None = None
) -> EmergencyAccess:
    """Open the person's examinations to ``actor`` for four hours. One that is open already is answered as it is.

    Of several institutions where ``actor`` treats, the one that is named, else the first. The patient gets a notice
    and the data office a case to review.

    Raises:
        NotPermitted: ``actor`` treats nobody at an institution that takes part.
        ReasonTooShort: the reason is not one that a reviewer can use.
    """
    places = treats_at(actor)
    if not places or (institution_id is not None and institution_id not in places):
        raise NotPermitted("Emergency access is for those who treat patients.")
    said = access_terms.plain_reason(reason)
    if not access_terms.is_real_reason(said):
        raise ReasonTooShort
    now = timezone.now()
    # Two requests at once queue at the account's row, so that the second finds what the first made.
    get_user_model().objects.select_for_update(no_key=True).get(pk=actor.pk)
    known = EmergencyAccess.objects.filter(
        emergencies_in_force(now), user=actor, person=person, institution_id__in=places
    ).first()
    if known is not None:
        return known
    place = institution_id or min(places)
    access = EmergencyAccess.objects.create(
        user=actor,
        institution_id=place,
        person=person,
        patient=_patient(person, place),
        reason=said,
        started_at=now,
        expires_at=now + access_terms.EMERGENCY,
    )
    audit.record(
        actor,
        "emergency.open",
        access,
        basis=Basis.EMERGENCY,
        purpose="emergency",
        person_key=person.key,
        detail={"expires_at": access.expires_at.isoformat()},
    )
    events.publish(EmergencyAccessOpened(emergency_id=access.pk))
    forget_sights()
    return access


@transaction.atomic
def end_emergency(*, actor: User, access: EmergencyAccess) -> EmergencyAccess:
    """End it before its time: whoever opened it may. It stays in the list that is reviewed.

    Raises:
        NotPermitted: it is somebody else's.
    """
    if access.user_id != actor.pk:
        raise NotPermitted("It is ended by who opened it.")
    row = EmergencyAccess.objects.select_for_update(no_key=True).get(pk=access.pk)
    if row.ended_at is None and row.expires_at > timezone.now():
        row.ended_at = timezone.now()
        row.save(update_fields=["ended_at"])
        audit.record(
            actor,
            "emergency.end",
            row,
            basis=Basis.EMERGENCY,
            purpose="emergency",
            person_key=row.person.key,
        )
        forget_sights()
    return row


def _patient(person: Person, institution_id: int) -> LocalPatient:
    """Whom the reader means: the patient here where there is one, else the one that was registered last."""
    patients = LocalPatient.objects.filter(person=person)
    here = patients.filter(institution_id=institution_id).order_by("pk").first()
    newest = F("registered_at").desc(nulls_last=True)
    return here or patients.order_by(newest, "-pk")[:1].get()
