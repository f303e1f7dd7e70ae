"""Grants on single rows (django-guardian): oversight of an institution, a consortium or a region.

Its generic tables hold one row for each grant, and grants exist on objects of which there are few. Never on a study.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils.translation import gettext as _
from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm, remove_perm

from common import audit
from hospitals import permissions
from hospitals.errors import FieldInvalid
from hospitals.models import Consortium, Institution, Region
from hospitals.permissions import OVERSIGHT, Actor

if TYPE_CHECKING:
    Overseen = Institution | Consortium | Region


@transaction.atomic
def grant_oversight(*, actor: Actor, user: AbstractBaseUser, of: Overseen) -> bool:
    """Let an account read records, states and counts of an institution, or of all of a consortium or region.

    False when it may already. It opens no examination.

    Raises:
        NotPermitted: the actor is not the commission.
        FieldInvalid: nothing that can be overseen.
    """
    permissions.require(permissions.may_administer(actor))
    codename = _codename(of)
    if _granted(user, of, codename):
        return False
    assign_perm(codename, user, of)
    _record(actor, "grant.give", user, of)
    return True


@transaction.atomic
def revoke_oversight(*, actor: Actor, user: AbstractBaseUser, of: Overseen) -> bool:
    """Take it back; False when there was none.

    Raises:
        NotPermitted: the actor is not the commission.
        FieldInvalid: nothing that can be overseen.
    """
    permissions.require(permissions.may_administer(actor))
    codename = _codename(of)
    if not _granted(user, of, codename):
        return False
    remove_perm(codename, user, of)
    _record(actor, "grant.revoke", user, of)
    return True


def _codename(of: Overseen) -> str:
    codename = (
        OVERSIGHT.get(of._meta.model_name or "")
        if isinstance(of, Institution | Consortium | Region)
        else None
    )
    if codename is None:
        raise FieldInvalid(_("Oversight is of an institution, a consortium or a region."))
    return codename


def _granted(user: AbstractBaseUser, of: Overseen, codename: str) -> bool:
    return UserObjectPermission.objects.filter(
        user_id=user.pk,
        permission__codename=codename,
        permission__content_type__app_label="hospitals",
        object_pk=str(of.pk),
    ).exists()


def _record(actor: Actor, action: str, user: AbstractBaseUser, of: Overseen) -> None:
    audit.record(
        actor,
        action,
        of,
        institution_id=of.pk if isinstance(of, Institution) else None,
        detail={"user": user.pk, "what": of._meta.model_name, "code": of.code},
    )
