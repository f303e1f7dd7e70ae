"""What is in force beyond an account's own institution: encounters, consents, emergencies, consultations."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Case, Q, Value, When
from django.utils import timezone

from hospitals.selectors.institutions import list_left
from sharing.models import Consent, EmergencyAccess, Encounter
from sharing.models.consultation import ConsultationStudy
from sharing.permissions.bases import Basis, strongest
from sharing.permissions.conditions import Crowd, studies_of_consents

# So many persons stand in a statement; of more, each study's is asked for.
FEW = 500
_MOST_EMERGENCIES = 100  # of one account within hours; more is no emergency
_WHOLE = Q(modalities=[], held_by=[], study_instance_uids=[], since__isnull=True)


@dataclass
class Grounds:
    """Persons and studies by reason, and what is too much to be listed."""

    persons: dict[int, Basis] = field(default_factory=dict)
    studies: dict[int, Basis] = field(default_factory=dict)
    encounters_at: tuple[int, ...] = ()
    consents_at: tuple[int, ...] = ()
    left: frozenset[int] = frozenset()  # institutions that share no longer

    def crowd(self, user_id: int) -> Crowd | None:
        if not (self.encounters_at or self.consents_at):
            return None
        return Crowd(self.encounters_at, self.consents_at, user_id)

    def add_persons(self, ids: Iterable[int], basis: Basis) -> None:
        _add(self.persons, ids, basis)

    def add_studies(self, ids: Iterable[int], basis: Basis) -> None:
        _add(self.studies, ids, basis)


def grounds_of(user_id: int, homes: Collection[int]) -> Grounds:
    """What gives an account sight that treats patients at ``homes``. A handful of queries, each bounded."""
    found = Grounds()
    if homes:
        now = timezone.now()
        found.left = frozenset(list_left())
        _encounters(found, homes, now)
        _consents(found, user_id, homes, now)
        _emergencies(found, user_id, homes, now)
        today = timezone.localdate(now)
        studies = ConsultationStudy.objects.granted_to(user_id, at=now, on=today)
        found.add_studies(studies, Basis.CONSULTATION)
    return found


def open_encounters(now: datetime) -> Q:
    """Encounters that give sight at this moment."""
    return Q(closed_at__isnull=True, opened_at__lte=now, expires_at__gt=now)


def consents_in_force(now: datetime) -> Q:
    """Consents that hold at this moment."""
    return Q(withdrawn_at__isnull=True, given_at__lte=now, expires_at__gt=now)


def emergencies_in_force(now: datetime) -> Q:
    """Emergency accesses that hold at this moment."""
    return Q(ended_at__isnull=True, started_at__lte=now, expires_at__gt=now)


def _encounters(found: Grounds, homes: Collection[int], now: datetime) -> None:
    rows = Encounter.objects.filter(open_encounters(now), institution_id__in=homes)
    persons = list(rows.values_list("patient__person_id", flat=True)[: FEW + 1])
    if len(persons) > FEW:
        found.encounters_at = tuple(sorted(homes))
    else:
        found.add_persons(persons, Basis.ENCOUNTER)


def _consents(found: Grounds, user_id: int, homes: Collection[int], now: datetime) -> None:
    rows = Consent.objects.filter(
        consents_in_force(now), Q(user__isnull=True) | Q(user_id=user_id), institution_id__in=homes
    ).annotate(whole=Case(When(_WHOLE, then=Value(True)), default=Value(False)))
    # The patient who gave it counts, whichever person that patient belongs to by now.
    consents = list(rows.values_list("id", "patient__person_id", "whole")[: FEW + 1])
    narrowed = [pk for pk, _, whole in consents if not whole]
    studies = _studies(found, narrowed) if narrowed and len(consents) <= FEW else []
    if len(consents) > FEW or len(studies) > FEW:
        found.consents_at = tuple(sorted(homes))
        return
    found.add_persons((person for _, person, whole in consents if whole), Basis.CONSENT)
    found.add_studies(studies, Basis.CONSENT)


def _studies(found: Grounds, consent_ids: Collection[int]) -> list[int]:
    return studies_of_consents(consent_ids, not_at=found.left, limit=FEW + 1)


def _emergencies(found: Grounds, user_id: int, homes: Collection[int], now: datetime) -> None:
    rows = EmergencyAccess.objects.filter(
        emergencies_in_force(now), user_id=user_id, institution_id__in=homes
    )
    found.add_persons(rows.values_list("person_id", flat=True)[:_MOST_EMERGENCIES], Basis.EMERGENCY)


def _add(known: dict[int, Basis], ids: Iterable[int], basis: Basis) -> None:
    for each in ids:
        known[each] = strongest(known.get(each), basis) or basis
