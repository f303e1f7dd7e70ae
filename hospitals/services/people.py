"""What an administrator does for the account of somebody who works there."""

from __future__ import annotations

from django.db import transaction

from common.accounts import factors, people, sessions, throttle
from common.accounts.models import User
from hospitals import permissions


@transaction.atomic
def reset_second_factor(*, actor: User, user: User) -> None:
    """Take a lost generator away, recovery codes and sessions too: the person sets up the next at the next log-in.

    Raises:
        NotPermitted: the account is not the actor's to keep: it has a role elsewhere, or is the actor's own.
        FactorMissing: there is none.
    """
    permissions.require(permissions.keeps_person(actor, user))
    factors.remove_factor(actor=actor, user=user)
    sessions.end_sessions(actor=actor, user=user)


@transaction.atomic
def reset_password(*, actor: User, user: User) -> str:
    """A one-time password for somebody who forgot theirs; their sessions end and their lock is released.

    Raises:
        NotPermitted: the account is not the actor's to keep.
        AccountInvalid: it has no password.
    """
    permissions.require(permissions.keeps_person(actor, user))
    password = people.reset_password(actor=actor, user=user)
    sessions.end_sessions(actor=actor, user=user)
    throttle.forgive(username=user.username)
    return password


def release_lock(*, actor: User, user: User) -> bool:
    """Let somebody try again who mistyped a password or code too often; False where nothing was locked.

    Raises:
        NotPermitted: the account is not the actor's to keep.
    """
    permissions.require(permissions.keeps_person(actor, user))
    return throttle.release(actor=actor, user=user)
