"""Memberships: a role given from a day on, and taken back."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from common import audit
from hospitals import permissions
from hospitals.errors import FieldInvalid, LastAdministrator, MembershipConflict
from hospitals.models import Institution, Membership
from hospitals.permissions import PROVINCE_WIDE, Actor, Role
from hospitals.selectors.people import is_last_administrator


@transaction.atomic
def grant_membership(
    *,
    actor: Actor,
    user: AbstractBaseUser,
    role: str,
    institution: Institution | None = None,
    valid_from: dt.date | None = None,
    valid_until: dt.date | None = None,
) -> Membership:
    """Give an account a role from a day on (today by default); granting what it has already answers
    the membership there is.

    The commission, auditors and operators serve the province and have no institution; the others
    need one. An institution's administrator may give the roles of their own institution.

    Raises:
        NotPermitted: the actor may not give this role there.
        FieldInvalid: no such role, the wrong scope, or an end before the start.
        MembershipConflict: another membership of that role overlaps with these days.
    """
    require_scope(role, institution)
    permissions.require(may_give(actor, institution))
    start = valid_from or permissions.today()
    if valid_until is not None and valid_until <= start:
        raise FieldInvalid(_("A membership ends after it starts."))
    # Grants to one account queue here, so that two cannot both find no overlap.
    get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
    overlapping = Membership.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=start),
        user_id=user.pk,
        role=role,
        institution=institution,
    )
    if valid_until is not None:
        overlapping = overlapping.filter(valid_from__lt=valid_until)
    existing = overlapping.order_by("valid_from").first()
    if existing is not None:
        if existing.valid_from <= start and existing.valid_until == valid_until:
            return existing
        raise MembershipConflict
    membership = Membership.objects.create(
        user_id=user.pk,
        institution=institution,
        role=role,
        valid_from=start,
        valid_until=valid_until,
    )
    _record(actor, "membership.grant", membership)
    return membership


@transaction.atomic
def prolong_membership(
    *, actor: Actor, membership: Membership, until: dt.date | None
) -> Membership:
    """Let a membership hold until a later day (exclusive), or without an end.

    Raises:
        NotPermitted: the actor may not give this role there.
        FieldInvalid: the day is not later than the present end.
        MembershipConflict: it has ended already, or another one of that role follows before that day.
    """
    permissions.require(may_give(actor, membership.institution))
    # As for grants: two changes to one person's roles never overlook each other.
    get_user_model().objects.select_for_update(no_key=True).get(pk=membership.user_id)
    row = Membership.objects.select_for_update(no_key=True, of=("self",)).get(pk=membership.pk)
    if row.valid_until is None or (until is not None and until <= row.valid_until):
        raise FieldInvalid(_("The new end is to lie after the present one."))
    if row.valid_until <= max(permissions.today(), row.valid_from):
        raise MembershipConflict(_("This membership has ended: invite the person again."))
    following = Membership.objects.filter(
        user_id=row.user_id,
        role=row.role,
        institution=row.institution,
        valid_from__gte=row.valid_until,
    )
    if until is not None:
        following = following.filter(valid_from__lt=until)
    if following.exists():
        raise MembershipConflict
    row.valid_until = until
    row.save(update_fields=["valid_until"])
    _record(actor, "membership.prolong", row)
    return row


@transaction.atomic
def end_membership(
    *,
    actor: Actor,
    membership: Membership,
    on: dt.date | None = None,
    last_is_meant: bool = False,
) -> Membership:
    """Take a role back: it holds no longer from ``on`` (today by default, at once).

    Ending an ended membership earlier is possible, later is not.

    Raises:
        NotPermitted: the actor may not give this role there.
        MembershipConflict: it ends already on or before that day.
        LastAdministrator: nobody else would administer the place, and a person did not say that it is meant.
    """
    permissions.require(may_give(actor, membership.institution))
    _queue_at(membership)
    row = Membership.objects.select_for_update(no_key=True).get(pk=membership.pk)
    end = max(on or permissions.today(), row.valid_from)
    if not (last_is_meant or permissions.is_system(actor)) and is_last_administrator(row, on=end):
        raise LastAdministrator
    if row.valid_until is not None and row.valid_until <= end:
        raise MembershipConflict(_("This membership ends already on or before that day."))
    row.valid_until = end
    row.save(update_fields=["valid_until"])
    _record(actor, "membership.end", row)
    return row


def _queue_at(membership: Membership) -> None:
    """Two administrators who end each other at the same time queue here, so that one of them stays."""
    if membership.institution_id is not None:
        Institution.objects.select_for_update(no_key=True).get(pk=membership.institution_id)
    else:
        rows = Membership.objects.filter(role=membership.role, institution=None).order_by("pk")
        list(rows.select_for_update(no_key=True))


def require_scope(role: str, institution: Institution | None) -> None:
    """Refuse a role at a place that it does not have.

    Raises:
        FieldInvalid: no such role, or a place where it needs none, or none where it needs one.
    """
    if role not in Role.values:
        raise FieldInvalid(
            _("The role is one of: %(values)s.") % {"values": ", ".join(Role.values)}
        )
    if (role in PROVINCE_WIDE) != (institution is None):
        raise FieldInvalid(
            _(
                "Commission, auditor and operator serve the province and have no institution; "
                "every other role has one."
            )
        )


def may_give(actor: Actor, institution: Institution | None) -> bool:
    """Whether the actor may give and take roles there; none means the whole province."""
    if permissions.may_administer(actor):
        return True
    return institution is not None and permissions.has_role(
        actor, Role.INSTITUTION_ADMIN, institution_id=institution.pk
    )


def _record(actor: Actor, action: str, membership: Membership) -> None:
    audit.record(
        actor,
        action,
        obj=membership,
        institution_id=membership.institution_id,
        detail={
            "user": membership.user_id,
            "role": membership.role,
            "from": membership.valid_from.isoformat(),
            "until": membership.valid_until.isoformat() if membership.valid_until else None,
        },
    )
