"""Grants on the few objects that have them: institution, consortium, region, rule profile, catalogue."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, QuerySet
from guardian.shortcuts import get_objects_for_user

from common.accounts.models import User


def has_grant(user: User | AnonymousUser, permission: str, obj: Model) -> bool:
    """Whether the user holds ``permission`` (codename) on this object, itself or through a group.

    A superuser holds none by being one: rights on patients' data are given, never implied.
    """
    if not isinstance(user, User) or not user.is_active:
        return False
    return granted(user, permission, type(obj)).filter(pk=obj.pk).exists()


def granted(user: User, permission: str, model: type[Model]) -> QuerySet[Any]:
    """The objects of a model on which the user holds the permission (codename)."""
    rows: QuerySet[Any] = get_objects_for_user(
        user,
        f"{model._meta.app_label}.{permission}",
        klass=model,
        with_superuser=False,
        accept_global_perms=False,
    )
    return rows
