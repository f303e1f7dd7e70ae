"""People in their roles, as their administrators see them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from common.accounts import factors, throttle
from common.accounts.models import User
from hospitals.errors import MembershipUnknown
from hospitals.models import Institution, Membership
from hospitals.permissions import (
    NEEDS_SECOND_FACTOR,
    PROVINCE_WIDE,
    Role,
    kept_places,
    today,
)

PAGE = 50
STATES = ("in-force", "coming", "ended")


@dataclass(frozen=True)
class PeopleSearch:
    """What an administrator looks for; empty means all. A role may be ``leading``: see ``list_people``."""

    text: str = ""
    role: str = ""
    institution: str = ""
    state: str = "in-force"


@dataclass(frozen=True)
class PersonRow:
    """One person in one role."""

    membership: Membership
    user: User
    state: str
    has_factor: bool
    needs_factor: bool
    locked_until: dt.datetime | None


def list_people(*, actor: Any, search: PeopleSearch, page: str | int | None = 1) -> Page[PersonRow]:
    """A page of people in the roles and places that the actor keeps. Four queries whatever its length.

    The role ``leading`` means those that the commission itself gives: of the whole province, and the
    administrators of institutions.
    """
    rows = _kept(actor).filter(_condition(search), user__is_system=False)
    found = Paginator(rows.order_by("user__username", "pk"), PAGE).get_page(page)
    return Page(_rows(list(found.object_list)), found.number, found.paginator)  # type: ignore[arg-type]  # of rows


def get_kept_person(*, actor: Any, membership_id: int) -> PersonRow:
    """One membership of the places whose people the actor keeps.

    Raises:
        MembershipUnknown: there is none, or it is another place's.
    """
    rows = _kept(actor).filter(pk=membership_id, user__is_system=False)
    found = _rows(list(rows))
    if not found:
        raise MembershipUnknown
    return found[0]


def kept_institutions(*, actor: Any) -> QuerySet[Institution]:
    """The institutions whose people the actor keeps, by code; those that have left have no people to come."""
    places = kept_places(actor)
    rows = Institution.objects.exclude(state=Institution.State.LEFT).order_by("code")
    return rows if places is None else rows.filter(pk__in=places)


def is_last_administrator(membership: Membership, *, on: dt.date | None = None) -> bool:
    """Whether nobody else would administer the place from that day on."""
    if membership.role not in {Role.INSTITUTION_ADMIN, Role.COMMISSION}:
        return False
    day = on or today()
    others = Membership.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=day),
        role=membership.role,
        institution=membership.institution,
        valid_from__lte=day,
        user__is_active=True,
    )
    return not others.exclude(user_id=membership.user_id).exists()


def _kept(actor: Any) -> QuerySet[Membership]:
    places = kept_places(actor)
    condition = Q() if places is None else Q(institution_id__in=places)
    return Membership.objects.filter(condition).select_related("user", "institution")


def _condition(search: PeopleSearch) -> Q:
    condition = _in_state(search.state)
    for word in search.text.split()[:5]:
        condition &= Q(user__username__icontains=word) | Q(user__first_name__icontains=word)
    if search.role == "leading":
        condition &= Q(role__in=[*PROVINCE_WIDE, Role.INSTITUTION_ADMIN])
    elif search.role:
        condition &= Q(role=search.role)
    if search.institution:
        condition &= Q(institution__code=search.institution)
    return condition


def _in_state(state: str) -> Q:
    day = today()
    begun, lasting = Q(valid_from__lte=day), Q(valid_until__isnull=True) | Q(valid_until__gt=day)
    # One that was withdrawn on its first day ends as it begins and never comes.
    coming = Q(valid_from__gt=day) & Q(valid_from__lt=Coalesce(F("valid_until"), dt.date.max))
    if state == "in-force":
        return begun & lasting
    return (
        coming if state == "coming" else ~(begun & lasting) & ~coming if state == "ended" else Q()
    )


def _rows(memberships: Sequence[Membership]) -> list[PersonRow]:
    with_factor = factors.people_with_factor([row.user_id for row in memberships])
    locks = throttle.locks_of({row.user.username for row in memberships})
    return [
        PersonRow(
            membership=row,
            user=row.user,
            state=_state_of(row),
            has_factor=row.user_id in with_factor,
            needs_factor=row.role in NEEDS_SECOND_FACTOR,
            locked_until=locks.get(row.user.username),
        )
        for row in memberships
    ]


def _state_of(row: Membership) -> str:
    day = today()
    if row.valid_until is not None and row.valid_until <= max(day, row.valid_from):
        return "ended"
    return "coming" if row.valid_from > day else "in-force"
