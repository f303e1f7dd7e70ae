"""Remote consultations as those who take part see them. For anybody else there are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import BigIntegerField, Exists, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from common import privacy
from common.errors import NotFound
from hospitals import selectors as hospitals
from sharing.domain.consulting import NOT_PASSED_ON, SignedContent
from sharing.models import (
    Consultation,
    ConsultationEntry,
    ConsultationOpinion,
    ConsultationSeen,
    ConsultationStudy,
    Study,
)
from sharing.permissions import decide
from sharing.selectors.priors import list_priors

if TYPE_CHECKING:
    from common.accounts.models import User

SEAL = "consultation opinion"
_MOST_COUNTED = 99
_ROWS = ("asking_institution", "asked_institution", "asked_department", "asked_user", "asked_by")


class Side(StrEnum):
    """On which side of a consultation somebody is."""

    ASKING = "asking"
    ASKED = "asked"


class Box(StrEnum):
    """Which consultations a list shows."""

    INBOX = "inbox"  # I am asked, and it has not ended
    SENT = "sent"  # I asked, and it has not ended
    ENDED = "ended"


@dataclass(frozen=True)
class AttachedStudy:
    """A study of a consultation. Without ``visible`` its patient is not shown any more."""

    attached: ConsultationStudy
    study: Study | None
    visible: bool


@dataclass(frozen=True)
class SignedOpinion:
    """One version of the opinion, and whether it is still what was signed."""

    opinion: ConsultationOpinion
    sound: bool
    newest: bool


@dataclass(frozen=True)
class ConsultationView:
    """Everything that a party sees of one consultation."""

    consultation: Consultation
    sides: frozenset[Side]
    entries: list[ConsultationEntry]
    studies: list[AttachedStudy]
    opinions: list[SignedOpinion]  # newest first
    in_force: bool

    @property
    def asking(self) -> bool:
        return Side.ASKING in self.sides

    @property
    def asked(self) -> bool:
        return Side.ASKED in self.sides

    @property
    def newest(self) -> SignedOpinion | None:
        return self.opinions[0] if self.opinions else None


def may_take_part(actor: User) -> bool:
    """Whether an account may ask and advise at all: a person who reads images somewhere."""
    return not actor.is_system and bool(hospitals.places_of_advisers(actor))


def taking_part(actor: User) -> QuerySet[Consultation]:
    """The consultations that an account is a party of, ended ones too."""
    places = () if actor.is_system else sorted(hospitals.places_of_advisers(actor))
    departments = sorted(hospitals.department_ids_of(user_id=actor.pk)) if places else []
    return Consultation.objects.filter(
        Q(asked_by=actor.pk, asking_institution__in=places)
        | (Q(asked_user=actor.pk) | Q(asked_department__in=departments))
        & Q(asked_institution__in=places)
    )


def list_consultations(*, actor: User, box: Box) -> QuerySet[Consultation]:
    """One box of a reader, what is newest first, each with ``news``: whether something in it is unread."""
    rows = taking_part(actor)
    if box is Box.ENDED:
        rows = rows.filter(closed_at__isnull=False)
    else:
        rows = rows.filter(closed_at__isnull=True)
        mine = Q(asked_by=actor.pk)
        rows = rows.filter(mine) if box is Box.SENT else rows.exclude(mine)
    return (
        rows.annotate(news=_news(actor), last_at=Max("entries__at"))
        .select_related(*_ROWS)
        .order_by("-last_at", "-pk")
    )


def count_waiting(actor: User) -> int:
    """How many consultations want this reader: asked and not accepted, or with something unread."""
    waits = Q(state=Consultation.State.ASKED) & ~Q(asked_by=actor.pk)
    rows = taking_part(actor).filter(waits | Q(_news(actor)))
    return rows.order_by().values("pk")[: _MOST_COUNTED + 1].count()


def get_consultation(*, actor: User, consultation_id: int) -> Consultation:
    """One consultation that the actor takes part in.

    Raises:
        NotFound: there is none, or it is not the actor's.
    """
    row = (
        taking_part(actor).select_related(*_ROWS, "accepted_by").filter(pk=consultation_id).first()
    )
    if row is None:
        raise NotFound("There is no such consultation.")
    return row


def sides_of(actor: User, consultation: Consultation) -> frozenset[Side]:
    """On which sides the actor is; both where somebody asks a department of their own."""
    sides: set[Side] = set()
    if consultation.asked_by_id == actor.pk:
        sides.add(Side.ASKING)
    if consultation.asked_user_id == actor.pk or (
        consultation.asked_department_id in hospitals.department_ids_of(user_id=actor.pk)
    ):
        sides.add(Side.ASKED)
    return frozenset(sides)


def view_consultation(*, actor: User, consultation_id: int, now: datetime) -> ConsultationView:
    """All of one consultation.

    Raises:
        NotFound: there is none, or it is not the actor's.
    """
    consultation = get_consultation(actor=actor, consultation_id=consultation_id)
    in_force = consultation.closed_at is None and consultation.expires_at > now
    return ConsultationView(
        consultation=consultation,
        sides=sides_of(actor, consultation),
        entries=list(consultation.entries.all()),
        studies=_attached(actor, consultation),
        opinions=_opinions(consultation),
        in_force=in_force,
    )


def _attached(actor: User, consultation: Consultation) -> list[AttachedStudy]:
    rows = consultation.studies.select_related("institution", "study__institution")
    return [
        AttachedStudy(row, row.study, row.study is not None and bool(decide(actor, row.study)))
        for row in rows
    ]


def _opinions(consultation: Consultation) -> list[SignedOpinion]:
    rows = list(consultation.opinions.order_by("number"))
    former = [""] + [row.digest for row in rows]
    found = [
        SignedOpinion(
            row,
            sound=is_sound(row) and row.previous_digest == before,
            newest=row is rows[-1],
        )
        for row, before in zip(rows, former, strict=False)
    ]
    return found[::-1]


def content_of(opinion: ConsultationOpinion) -> SignedContent:
    """What the signature of a stored opinion stands for."""
    names = ConsultationOpinion._meta.fields
    wanted = SignedContent.__dataclass_fields__
    values = {
        each.attname: getattr(opinion, each.attname) for each in names if each.attname in wanted
    }
    return SignedContent(**values | {"study_instance_uids": tuple(opinion.study_instance_uids)})


def is_sound(opinion: ConsultationOpinion) -> bool:
    """Whether text, author and time are still those that were signed, and the seal is this system's own."""
    digest = content_of(opinion).digest()
    return digest == opinion.digest and privacy.seal(digest.encode(), purpose=SEAL) == opinion.seal


def passable(actor: User, studies: Iterable[Study]) -> list[Study]:
    """Those of these studies that the actor may let others see: seen on a basis of the actor's own."""
    found = ((study, decide(actor, study).basis) for study in studies)
    return [study for study, basis in found if basis is not None and basis not in NOT_PASSED_ON]


def list_attachable(
    *, actor: User, about: Iterable[Study], but: Iterable[int] = (), limit: int = 30
) -> list[Study]:
    """Further studies of the patients of these studies that the actor may attach, newest first."""
    found: dict[int, Study] = {}
    for study in about:
        for prior in list_priors(actor=actor, study=study):
            found[prior.study.pk] = prior.study
    known = set(but)
    rows = [study for pk, study in found.items() if pk not in known]
    rows.sort(
        key=lambda study: (study.study_date is not None, study.study_date, study.pk), reverse=True
    )
    return passable(actor, rows[:limit])


def list_colleagues(*, actor: User, consultation: Consultation) -> list[hospitals.Colleague]:
    """To whom somebody of the asked side may forward: others of the department, or of the departments they share."""
    at = consultation.asked_institution_id
    if consultation.asked_department_id is not None:
        entries = [hospitals.find_department(department_id=consultation.asked_department_id)]
    else:
        mine = hospitals.department_ids_of(user_id=actor.pk)
        entries = [
            each
            for each in hospitals.list_departments(institution_id=at)
            if each.department_id in mine
        ]
    people = {each.user_id: each for entry in entries if entry for each in entry.colleagues}
    for pk in (actor.pk, consultation.asked_user_id, consultation.asked_by_id):
        people.pop(pk or 0, None)
    return list(people.values())


def _news(actor: User) -> Exists:
    """Whether others added something that the actor has not read."""
    seen = ConsultationSeen.objects.filter(
        consultation=OuterRef("consultation"), user=actor.pk
    ).values("newest_entry")
    newer = ConsultationEntry.objects.filter(
        consultation=OuterRef("pk"),
        pk__gt=Coalesce(Subquery(seen), Value(0), output_field=BigIntegerField()),
    )
    return Exists(newer.exclude(actor=actor.pk))
