"""The queue of candidates and the history of joins, for those who keep the master data (ADR 0024).

A pair is decided by the administrator of an institution that has one of the two patients, or by the commission. Who
treats a patient does not decide: a join gives sight, and nobody gives it to oneself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet
from django.utils import timezone

from common.errors import NotFound
from sharing.domain.likeness import Ground
from sharing.models import LinkCandidate, LinkEvent, LocalPatient, Study
from sharing.permissions import Role, sight_of
from sharing.selectors.identities import MaskedIdentity, masked_identity

if TYPE_CHECKING:
    from datetime import date

    from common.accounts.models import User


@dataclass(frozen=True)
class Keeper:
    """Whose master data an account keeps."""

    institution_ids: frozenset[int] = frozenset()
    province: bool = False

    def __bool__(self) -> bool:
        return self.province or bool(self.institution_ids)

    def keeps(self, *patients: LocalPatient) -> bool:
        """Whether one of these patients is of its institutions."""
        return self.province or any(
            each.institution_id in self.institution_ids for each in patients
        )


@dataclass(frozen=True)
class Side:
    """One of the two patients: masked, and named in full only where the reader's own institution registered it."""

    patient: LocalPatient
    masked: MaskedIdentity
    own: bool
    studies: int = 0
    first: date | None = None
    last: date | None = None

    @property
    def birth(self) -> str:
        """The whole day for the own institution's patient, else the year."""
        born = self.patient.birth_date
        if born is None:
            return ""
        return born.isoformat() if self.own else f"{born.year}-**-**"

    @property
    def number(self) -> str:
        number = self.patient.number
        return number if self.own or not number else f"***{number[-2:]}"


@dataclass(frozen=True)
class Pair:
    """Two patients that may be one person."""

    candidate: LinkCandidate
    sides: tuple[Side, Side]
    grounds: tuple[str, ...] = field(default=())

    @property
    def one_person(self) -> bool:
        """They were joined since, by an identity or another decision."""
        return self.sides[0].patient.person_id == self.sides[1].patient.person_id


def keeper(actor: User) -> Keeper:
    """Whose master data ``actor`` keeps today; nobody's in a launch."""
    if not (actor.is_authenticated and actor.is_active) or sight_of(actor).only_person is not None:
        return Keeper()
    today = timezone.localdate()
    rows = actor.memberships.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=today),
        valid_from__lte=today,
        role__in=[Role.INSTITUTION_ADMIN, Role.COMMISSION],
    ).values_list("role", "institution_id")
    found = list(rows)
    return Keeper(
        frozenset(at for role, at in found if role == Role.INSTITUTION_ADMIN and at is not None),
        province=any(role == Role.COMMISSION for role, _ in found),
    )


def open_candidates(actor: User) -> QuerySet[LinkCandidate]:
    """The pairs that ``actor`` may decide, the likeliest first."""
    return _kept(actor).filter(state=LinkCandidate.State.OPEN).order_by("-score", "pk")


def count_open(actor: User, *, limit: int = 100) -> int:
    """How many pairs wait for ``actor``, counted up to ``limit``."""
    return open_candidates(actor).order_by()[:limit].count() if keeper(actor) else 0


def get_candidate(*, actor: User, candidate_id: int) -> LinkCandidate:
    """One pair, decided or not.

    Raises:
        NotFound: there is none, or neither patient is ``actor``'s to keep.
    """
    found = _kept(actor).filter(pk=candidate_id).first()
    if found is None:
        raise NotFound("There is no such pair.")
    return found


def pairs(actor: User, candidates: list[LinkCandidate]) -> list[Pair]:
    """The pairs of one page with what their readers may know, in three queries."""
    who = keeper(actor)
    ids = {pk for each in candidates for pk in (each.first_id, each.second_id)}
    patients = LocalPatient.objects.select_related("institution", "person").in_bulk(ids)
    studies = {
        row["local_patient"]: row
        for row in Study.objects.filter(local_patient__in=ids)
        .order_by()
        .values("local_patient")
        .annotate(many=Count("pk"), first=Min("study_date"), last=Max("study_date"))
    }

    def side(pk: int) -> Side:
        patient, found = patients[pk], studies.get(pk)
        return Side(
            patient=patient,
            masked=masked_identity(patient),
            own=patient.institution_id in who.institution_ids,
            studies=found["many"] if found else 0,
            first=found["first"] if found else None,
            last=found["last"] if found else None,
        )

    return [
        Pair(each, (side(each.first_id), side(each.second_id)), _known_grounds(each.grounds))
        for each in candidates
    ]


@dataclass(frozen=True)
class Decision:
    """One entry of the history: how many patients moved, and whether it can be taken back now."""

    event: LinkEvent
    side: Side
    moved: int
    undone: bool
    can_be_undone: bool


def history(actor: User) -> QuerySet[LinkEvent]:
    """The decisions about persons of whom ``actor`` keeps a patient, newest first."""
    who = keeper(actor)
    events = LinkEvent.objects.filter(leader=None).select_related(
        "patient__institution", "patient__person", "actor", "from_person", "to_person"
    )
    if not who.province:
        mine = LocalPatient.objects.filter(
            Q(person=OuterRef("to_person")) | Q(person=OuterRef("from_person")),
            institution__in=who.institution_ids,
        )
        events = events.filter(
            Q(patient__institution__in=who.institution_ids)
            | Q(followers__patient__institution__in=who.institution_ids)
            | Q(Exists(mine))
        )
    return events.order_by("-pk").distinct()


def get_event(*, actor: User, event_id: int) -> LinkEvent:
    """One decision of the history.

    Raises:
        NotFound: there is none, or ``actor`` keeps none of its patients.
    """
    found = history(actor).filter(pk=event_id).first()
    if found is None:
        raise NotFound("There is no such decision.")
    return found


def decisions(actor: User, events: list[LinkEvent]) -> list[Decision]:
    """The entries of one page."""
    who = keeper(actor)
    ids = [each.pk for each in events]
    followers = Counter(
        LinkEvent.objects.filter(leader__in=ids).order_by().values_list("leader_id", flat=True)
    )
    undone = set(
        LinkEvent.objects.filter(undoes__in=ids).order_by().values_list("undoes_id", flat=True)
    )
    moved_on = set(
        LinkEvent.objects.filter(Q(pk__in=ids) | Q(leader__in=ids))
        .exclude(patient__person=F("to_person"))
        .order_by()
        .values_list("leader_id", "pk")
    )
    gone = {leader or pk for leader, pk in moved_on}
    return [
        Decision(
            event=each,
            side=Side(
                patient=each.patient,
                masked=masked_identity(each.patient),
                own=each.patient.institution_id in who.institution_ids,
            ),
            moved=1 + followers[each.pk],
            undone=each.pk in undone,
            can_be_undone=each.kind == LinkEvent.Kind.LINK
            and each.pk not in undone
            and each.pk not in gone,
        )
        for each in events
    ]


def _kept(actor: User) -> QuerySet[LinkCandidate]:
    who = keeper(actor)
    found = LinkCandidate.objects.all()
    if who.province:
        return found
    return found.filter(
        Q(first__institution__in=who.institution_ids)
        | Q(second__institution__in=who.institution_ids)
    )


def _known_grounds(codes: list[str]) -> tuple[str, ...]:
    known = set(Ground)
    return tuple(code for code in codes if code in known)
