"""Grants on single objects."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from guardian.shortcuts import assign_perm

from common.accounts.models import User
from common.permissions import granted, has_grant

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return User.objects.create_user("wang")


@pytest.fixture
def groups():
    return [Group.objects.create(name=name) for name in ("one", "two")]


def test_a_grant_is_for_one_object(user, groups):
    assign_perm("auth.change_group", user, groups[0])

    assert has_grant(user, "change_group", groups[0])
    assert not has_grant(user, "change_group", groups[1])
    assert not has_grant(user, "view_group", groups[0])
    assert list(granted(user, "change_group", Group)) == [groups[0]]


def test_nothing_is_granted_by_being_superuser_or_by_a_right_on_all(user, groups):
    user.is_superuser = True
    user.save()
    assign_perm("auth.change_group", user)

    assert not has_grant(user, "change_group", groups[0])


def test_strangers_and_closed_accounts_hold_nothing(user, groups):
    assign_perm("auth.change_group", user, groups[0])
    user.is_active = False

    assert not has_grant(user, "change_group", groups[0])
    assert not has_grant(AnonymousUser(), "change_group", groups[0])
