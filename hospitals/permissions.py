"""Roles: who works where as what on a day, and what that allows here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from guardian.models import UserObjectPermission

from common.errors import NotPermitted
from hospitals.models import Institution, Membership, Region

# A system (a command, a scheduled job) acts under its name.
Actor = AbstractBaseUser | AnonymousUser | str | None
Role = Membership.Role

PROVINCE_WIDE = frozenset({Role.COMMISSION, Role.AUDITOR, Role.OPERATOR})
SEES_EVERY_INSTITUTION = frozenset({Role.COMMISSION, Role.OPERATOR, Role.AUDITOR})
NEEDS_SECOND_FACTOR = frozenset(
    {Role.COMMISSION, Role.INSTITUTION_ADMIN, Role.AUDITOR, Role.OPERATOR}
)
# Grants on single rows of which there are few (django-guardian), by model. No other model gets any.
OVERSIGHT = {
    "institution": "oversee_institution",
    "consortium": "oversee_consortium",
    "region": "oversee_region",
}
_DEEPEST_REGION = 5  # province, city, county, township, village
KEEPS_ENDPOINT = frozenset({Role.INSTITUTION_ADMIN, Role.INTEGRATOR})


@dataclass(frozen=True)
class RoleAt:
    """One role in force. ``institution_id`` is None where it holds for the whole province."""

    role: str
    institution_id: int | None
    institution_code: str
    institution_name: str
    consortium_id: int | None


def today() -> dt.date:
    """The province's day, by which memberships start and end."""
    return timezone.localdate()


def memberships_in_force(*, on: dt.date | None = None) -> QuerySet[Membership]:
    """Memberships that hold on a day (today by default)."""
    day = on or today()
    return Membership.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=day), valid_from__lte=day
    )


def roles_of(user: Any, *, on: dt.date | None = None) -> tuple[RoleAt, ...]:
    """The roles of an account on a day; none for a stranger or a closed account. One query.

    While the navigation of a page is put together, each of its entries asks; they share one answer (``common.ui``).
    """
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return ()
    known: dict[object, tuple[RoleAt, ...]] | None = getattr(user, "known_while_rendering", None)
    if known is not None and ("roles", on) in known:
        return known["roles", on]
    rows = memberships_in_force(on=on).filter(user_id=user.pk).select_related("institution")
    roles = tuple(_role_at(row) for row in rows)
    if known is not None:
        known["roles", on] = roles
    return roles


def _role_at(row: Membership) -> RoleAt:
    institution = row.institution
    return RoleAt(
        role=row.role,
        institution_id=row.institution_id,
        institution_code=institution.code if institution else "",
        institution_name=institution.name if institution else "",
        consortium_id=institution.consortium_id if institution else None,
    )


def has_role(user: Any, *roles: str, institution_id: int | None = None) -> bool:
    """Whether the account has one of the roles today; at that institution, or province-wide."""
    return any(
        held.role in roles and held.institution_id in (None, institution_id)
        if institution_id is not None
        else held.role in roles
        for held in roles_of(user)
    )


def needs_second_factor(user: Any) -> bool:
    """Whether the account has a role today whose people do nothing without a second factor."""
    return has_role(user, *NEEDS_SECOND_FACTOR)


def is_system(actor: Actor) -> bool:
    """Whether no person acts but the system: a command or a scheduled job."""
    return actor is None or isinstance(actor, str)


def may_administer(actor: Actor) -> bool:
    """Whether the actor may change any institution."""
    if is_system(actor):
        return True
    return bool(getattr(actor, "is_superuser", False)) or has_role(actor, Role.COMMISSION)


def may_keep_endpoint(actor: Actor, *, institution_id: int) -> bool:
    """Whether the actor may set this institution's endpoint."""
    return may_administer(actor) or has_role(actor, *KEEPS_ENDPOINT, institution_id=institution_id)


def may_probe(actor: Actor, *, institution_id: int) -> bool:
    """Whether the actor may have this institution's endpoint probed."""
    return may_keep_endpoint(actor, institution_id=institution_id) or has_role(actor, Role.OPERATOR)


def may_keep_departments(actor: Actor, *, institution_id: int) -> bool:
    """Whether the actor may say which departments an institution has and who is in them."""
    return may_administer(actor) or has_role(
        actor, Role.INSTITUTION_ADMIN, institution_id=institution_id
    )


def kept_places(actor: Any) -> frozenset[int] | None:
    """The institutions whose people an account invites and takes leave of; None: everywhere.

    Raises:
        NotPermitted: it keeps nobody's.
    """
    if may_administer(actor):
        return None
    places = frozenset(
        held.institution_id
        for held in roles_of(actor)
        if held.role == Role.INSTITUTION_ADMIN and held.institution_id is not None
    )
    require(bool(places))
    return places


def keeps_people(actor: Any) -> bool:
    """Whether the account keeps anybody's roles."""
    return may_administer(actor) or has_role(actor, Role.INSTITUTION_ADMIN)


def keeps_person(actor: Any, user: Any) -> bool:
    """Whether the actor keeps the *account* of a person or system and not only a role of it: every lasting role of
    it, and all that it oversees by grants, is at the actor's own institutions. Else an administrator of one place
    could open a door at another. Nobody keeps their own account this way, and only a superuser keeps those of
    superusers and staff."""
    if not is_system(actor) and actor.pk == user.pk:
        return False
    if (user.is_superuser or user.is_staff) and not getattr(actor, "is_superuser", False):
        return False
    places = kept_places(actor)
    if places is None:
        return True
    day = today()
    lasting = Q(valid_until__isnull=True) | Q(valid_until__gt=day)
    held = set(
        Membership.objects.filter(lasting, user_id=user.pk).values_list("institution_id", flat=True)
    )
    return bool(held) and held <= places and overseen_ids(user) <= places


def require(allowed: bool) -> None:
    """Refuse unless allowed.

    Raises:
        NotPermitted: the actor has no role that allows it.
    """
    if not allowed:
        raise NotPermitted(_("Your roles do not allow this."))


def visible_institutions(user: Any) -> QuerySet[Institution]:
    """The institutions whose record an account may see: all for the commission, auditors, operators
    and superusers, else its own and those it oversees by a grant. Says nothing about examinations."""
    if is_system(user):
        return Institution.objects.all()
    roles: Collection[RoleAt] = roles_of(user)
    if getattr(user, "is_superuser", False) or any(
        held.role in SEES_EVERY_INSTITUTION for held in roles
    ):
        return Institution.objects.all()
    own = {held.institution_id for held in roles if held.institution_id is not None}
    return Institution.objects.filter(pk__in=own | overseen_ids(user))


def overseen_ids(user: Any) -> frozenset[int]:
    """The institutions that an account oversees by grants on them, on their consortium or on a region above them.

    A grant opens records, states and counts, never an examination. One query where there is no grant.
    """
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return frozenset()
    granted: dict[str, set[int]] = {}
    rows = UserObjectPermission.objects.filter(
        user_id=user.pk, permission__codename__in=OVERSIGHT.values()
    )
    for codename, pk in rows.values_list("permission__codename", "object_pk"):
        granted.setdefault(codename, set()).add(int(pk))
    if not granted:
        return frozenset()
    regions = granted.get(OVERSIGHT["region"], set())
    for _level in range(_DEEPEST_REGION):
        below = set(Region.objects.filter(parent_id__in=regions).values_list("pk", flat=True))
        if below <= regions:
            break
        regions |= below
    found = Institution.objects.filter(
        Q(pk__in=granted.get(OVERSIGHT["institution"], ()))
        | Q(consortium_id__in=granted.get(OVERSIGHT["consortium"], ()))
        | Q(region_id__in=regions)
    )
    return frozenset(found.values_list("pk", flat=True))


def listed_institutions(user: Any) -> QuerySet[Institution]:
    """The institutions that an account may find in the directory: those whose record it may see, and the
    members of a consortium of its own, whose examinations it may meet. Names and codes, no operation."""
    consortia = {held.consortium_id for held in roles_of(user) if held.consortium_id is not None}
    return (
        visible_institutions(user) | Institution.objects.filter(consortium_id__in=consortia)
    ).distinct()
