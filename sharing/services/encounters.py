"""Encounters (care relationships): told by a HIS, or registered at the desk."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from common import audit
from sharing.domain import access_terms
from sharing.errors import EncounterInvalid, VisitNumberTaken
from sharing.models import Encounter
from sharing.permissions import forget_sights, require_desk

if TYPE_CHECKING:
    from common.audit.services import Actor
    from sharing.models import LocalPatient

_LONGEST_NUMBER = 64
_LONGEST_WORDS = 100


@transaction.atomic
def register_encounter(
    *,
    actor: Actor,
    institution_id: int,
    patient: LocalPatient,
    visit_number: str,
    kind: str,
    opened_at: datetime,
    expires_at: datetime | None = None,
    department: str = "",
    attending: str = "",
    source: str,
    reopen: bool = False,
) -> Encounter:
    """Open the encounter of a visit number, or change it: the same message again changes nothing.

    Without ``expires_at`` it ends after the usual time of its kind. One that was closed stays closed, unless the
    sender says ``reopen`` (a cancelled discharge).

    Raises:
        NotPermitted: ``actor`` does not register for this institution.
        EncounterInvalid: it is another institution's patient, or number, kind or time do not fit.
        VisitNumberTaken: the number is another patient's.
    """
    require_desk(actor, institution_id)
    number = visit_number.strip()
    ends = _end(kind, source, opened_at, expires_at)
    if patient.institution_id != institution_id:
        raise EncounterInvalid("The patient is another institution's.")
    if not 0 < len(number) <= _LONGEST_NUMBER:
        raise EncounterInvalid("An encounter needs a visit number of at most 64 characters.")
    said = {
        "kind": kind,
        "source": source,
        "opened_at": opened_at,
        "expires_at": ends,
        "department": department.strip()[:_LONGEST_WORDS],
        "attending": attending.strip()[:_LONGEST_WORDS],
    }
    encounter, created = _get_or_create(actor, institution_id, number, patient, said)
    if encounter.patient_id != patient.pk:
        raise VisitNumberTaken
    changed = [] if created else _change(encounter, said, reopen=reopen)
    if created or changed:
        _record(actor, "encounter.register" if created else "encounter.change", encounter, changed)
        forget_sights()
    return encounter


@transaction.atomic
def close_encounter(*, actor: Actor, encounter: Encounter, at: datetime | None = None) -> Encounter:
    """End it: it gives no sight any more, within five seconds. Closing a closed one changes nothing.

    Raises:
        NotPermitted: ``actor`` does not register for this institution.
    """
    require_desk(actor, encounter.institution_id)
    row = Encounter.objects.select_for_update(no_key=True).get(pk=encounter.pk)
    if row.closed_at is None:
        # Never later than now: an end that lies ahead is an expiry.
        row.closed_at = min(at or timezone.now(), timezone.now())
        row.save(update_fields=["closed_at"])
        _record(actor, "encounter.close", row, [])
        forget_sights()
    return row


def _get_or_create(
    actor: Actor, institution_id: int, number: str, patient: LocalPatient, said: dict[str, Any]
) -> tuple[Encounter, bool]:
    rows = Encounter.objects.select_for_update(no_key=True)
    found = rows.filter(institution_id=institution_id, visit_number=number).first()
    if found is not None:
        return found, False
    by = None if actor is None or isinstance(actor, str) else actor.pk
    try:
        with transaction.atomic():  # a savepoint: the other of two at once takes the number
            made = Encounter.objects.create(
                institution_id=institution_id,
                visit_number=number,
                patient=patient,
                registered_by_id=by,
                **said,
            )
    except IntegrityError:
        return rows.get(institution_id=institution_id, visit_number=number), False
    return made, True


def _change(encounter: Encounter, said: dict[str, Any], *, reopen: bool) -> list[str]:
    if encounter.closed_at is not None and not reopen:
        return []
    # What the desk registered becomes the HIS's once that speaks of it, and never the other way.
    if encounter.source == Encounter.Source.HIS and said["source"] == Encounter.Source.DESK:
        return []
    changed = [name for name, value in said.items() if getattr(encounter, name) != value]
    for name in changed:
        setattr(encounter, name, said[name])
    if encounter.closed_at is not None:
        encounter.closed_at = None
        changed.append("closed_at")
    if changed:
        encounter.save(update_fields=changed)
    return changed


def _end(kind: str, source: str, opened_at: datetime, expires_at: datetime | None) -> datetime:
    if kind not in Encounter.Kind.values or source not in Encounter.Source.values:
        raise EncounterInvalid("The kind is outpatient, inpatient or emergency.")
    now = timezone.now()
    if not now - access_terms.EARLIEST <= opened_at <= now + access_terms.AHEAD:
        raise EncounterInvalid("The encounter begins too long ago or too far ahead.")
    at_desk = source == Encounter.Source.DESK
    usual = (access_terms.DESK_ENCOUNTER if at_desk else access_terms.USUAL_ENCOUNTER)[kind]
    most = (access_terms.DESK_ENCOUNTER if at_desk else access_terms.LONGEST_ENCOUNTER)[kind]
    # A HIS that tells of an old stay that still lasts counts from now on.
    begins = max(opened_at, now) if kind == Encounter.Kind.INPATIENT else opened_at
    ends = expires_at or _to_hour(begins + usual)
    if ends <= opened_at:
        raise EncounterInvalid("An encounter ends after it begins.")
    return min(ends, _to_hour(begins + most))


def _to_hour(at: datetime) -> datetime:
    """Up to a whole hour, so that the same message again gives the same end for a while."""
    return at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _record(actor: Actor, action: str, encounter: Encounter, changed: list[str]) -> None:
    audit.record(
        actor,
        action,
        encounter,
        basis=encounter.source,
        purpose="treatment",
        person_key=encounter.patient.person.key,
        detail={
            "kind": encounter.kind,
            "expires_at": encounter.expires_at.isoformat(),
            **({"changed": sorted(changed)} if changed else {}),
        },
    )
