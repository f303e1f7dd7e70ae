"""Encounters, consents and emergency accesses, for those who register them and who opened them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.utils import timezone

from common.dicom.names import query_grams
from common.errors import NotFound
from sharing.errors import EncounterInvalid
from sharing.models import Consent, EmergencyAccess, Encounter, LocalPatient
from sharing.permissions import (
    consents_in_force,
    emergencies_in_force,
    open_encounters,
    registers_at,
)
from sharing.selectors import codes

if TYPE_CHECKING:
    from common.accounts.models import User


def place_of(
    actor: User, institution_code: str = "", *, among: Collection[int] | None = None
) -> int:
    """The institution for which ``actor`` registers: the one named, or the only one.

    Raises:
        NotFound: there is none of this code for this account.
        EncounterInvalid: there are several, and none was named.
    """
    places = registers_at(actor) if among is None else among
    if institution_code:
        found = codes.id_of(institution_code, places)
        if found is None:
            raise NotFound("There is no such institution.")
        return found
    if not places:
        raise NotFound("There is no such institution.")
    if len(places) > 1:
        raise EncounterInvalid("Say for which of your institutions: institution_code.")
    return next(iter(places))


def list_encounters(
    *, actor: User, institution_id: int | None = None, text: str = "", only_open: bool = False
) -> QuerySet[Encounter]:
    """Of the institutions for which ``actor`` registers, the newest first; ``text`` is a number or a name."""
    rows = Encounter.objects.filter(institution_id__in=_among(actor, institution_id))
    if only_open:
        rows = rows.filter(open_encounters(timezone.now()))
    if text.strip():
        rows = rows.filter(Q(visit_number=text.strip()) | _of_patient(text.strip()))
    return rows.select_related("institution", "patient__person").order_by("-opened_at", "-pk")


def list_consents(
    *, actor: User, institution_id: int | None = None, text: str = "", only_in_force: bool = False
) -> QuerySet[Consent]:
    """Consents for readers of the institutions for which ``actor`` registers, or noted of their patients."""
    places = _among(actor, institution_id)
    rows = Consent.objects.filter(
        Q(institution_id__in=places) | Q(patient__institution_id__in=places)
    )
    if only_in_force:
        rows = rows.filter(consents_in_force(timezone.now()))
    if text.strip():
        rows = rows.filter(_of_patient(text.strip()))
    return rows.select_related("institution", "patient__institution", "person", "user").order_by(
        "-given_at", "-pk"
    )


def get_encounter(*, actor: User, encounter_id: int) -> Encounter:
    """One of them.

    Raises:
        NotFound: there is none, or it is another institution's.
    """
    found = list_encounters(actor=actor).filter(pk=encounter_id).first()
    if found is None:
        raise NotFound("There is no such encounter.")
    return found


def get_consent(*, actor: User, consent_id: int) -> Consent:
    """One of them.

    Raises:
        NotFound: there is none, or it concerns another institution.
    """
    found = list_consents(actor=actor).filter(pk=consent_id).first()
    if found is None:
        raise NotFound("There is no such consent.")
    return found


def find_patient(*, institution_id: int, number: str, issuer: str = "") -> LocalPatient:
    """The patient of a number at this institution.

    Raises:
        NotFound: there is none.
    """
    found = LocalPatient.objects.filter(
        institution_id=institution_id, number=number.strip(), issuer=issuer.strip()
    ).first()
    if found is None:
        raise NotFound("There is no patient of this number.")
    return found


def own_emergencies(*, actor: User) -> QuerySet[EmergencyAccess]:
    """The account's own emergency accesses that are open, the newest first."""
    return (
        EmergencyAccess.objects.filter(emergencies_in_force(timezone.now()), user=actor)
        .select_related("person", "patient", "institution")
        .order_by("-started_at")
    )


def get_own_emergency(*, actor: User, access_id: int) -> EmergencyAccess:
    """One that the account opened.

    Raises:
        NotFound: there is none.
    """
    found = EmergencyAccess.objects.select_related("person").filter(pk=access_id, user=actor)
    if (access := found.first()) is None:
        raise NotFound("There is no such emergency access.")
    return access


def _among(actor: User, institution_id: int | None) -> list[int]:
    places = registers_at(actor)
    return sorted(places if institution_id is None else places & {institution_id})


def _of_patient(text: str) -> Q:
    grams = query_grams(text)
    number = Q(patient__number=text)
    return number | Q(patient__name_grams__contains=grams) if grams else number
