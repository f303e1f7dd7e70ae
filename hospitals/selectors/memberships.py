"""Who works where, on a day."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import F, Q, QuerySet

from common.audit import InstitutionNames
from hospitals.models import Membership
from hospitals.permissions import RoleAt, memberships_in_force, roles_of, today


def memberships_of(user: Any, *, on: dt.date | None = None) -> tuple[RoleAt, ...]:
    """The roles an account has on a day (today by default); none for a stranger. One query."""
    return roles_of(user, on=on)


def list_memberships(
    *, institution_id: int | None = None, on: dt.date | None = None
) -> QuerySet[Membership]:
    """Memberships in force on a day, of one institution or of all, with their people."""
    rows = memberships_in_force(on=on).select_related("user", "institution").order_by("pk")
    return rows if institution_id is None else rows.filter(institution_id=institution_id)


def list_lasting_memberships(*, on: dt.date | None = None) -> QuerySet[Membership]:
    """Memberships that hold on a day (today by default) or will hold after it, with their people."""
    day = on or today()
    lasting = Q(valid_until__isnull=True) | Q(valid_until__gt=day) & Q(
        valid_until__gt=F("valid_from")
    )
    return Membership.objects.filter(lasting).select_related("user", "institution").order_by("pk")


def account_at(*, institution_id: int, username: str) -> Any | None:
    """The open account of this name that has a role at the institution today; none for any other name."""
    row = (
        memberships_in_force()
        .filter(institution_id=institution_id, user__username=username, user__is_active=True)
        .select_related("user")
        .first()
    )
    return row.user if row is not None else None


class WorkplaceDirectory:
    """Tells the audit trail where an account works, by its memberships of today."""

    def institution_of(
        self, *, user_id: int, institution_id: int | None = None
    ) -> InstitutionNames:
        """The institution of an account. Who works at several acts for the one that the entry is about, if it is
        among them; else for the one where the account has worked longest. Empty for none."""
        rows = list(
            memberships_in_force()
            .filter(user_id=user_id, institution__isnull=False)
            .order_by("valid_from", "pk")
            .values_list("institution_id", "institution__code", "institution__name")
        )
        for _, code, name in [*(row for row in rows if row[0] == institution_id), *rows]:
            return InstitutionNames(code=code, name=name)
        return InstitutionNames()
