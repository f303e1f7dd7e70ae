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
from hospitals.errors import FieldInvalid, MembershipConflict
from hospitals.models import Institution, Membership
from hospitals.permissions import PROVINCE_WIDE, Actor, Role


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
    _require_scope(role, institution)
    permissions.require(_may_give(actor, institution))
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
def end_membership(
    *, actor: Actor, membership: Membership, on: dt.date | None = None
) -> Membership:
    """Take a role back: it holds no longer from ``on`` (today by default, at once).

    Ending an ended membership earlier is possible, later is not.

    Raises:
        NotPermitted: the actor may not give this role there.
        MembershipConflict: it ends already on or before that day.
    """
    permissions.require(_may_give(actor, membership.institution))
    row = Membership.objects.select_for_update(no_key=True).get(pk=membership.pk)
    end = max(on or permissions.today(), row.valid_from)
    if row.valid_until is not None and row.valid_until <= end:
        raise MembershipConflict(_("This membership ends already on or before that day."))
    row.valid_until = end
    row.save(update_fields=["valid_until"])
    _record(actor, "membership.end", row)
    return row


def _require_scope(role: str, institution: Institution | None) -> None:
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


def _may_give(actor: Actor, institution: Institution | None) -> bool:
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
