"""Accounts: made with a one-time password, and found by their name."""

from __future__ import annotations

import secrets

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from common import audit
from common.accounts.models import User
from common.errors import DomainError, Kind, NotFound


class AccountUnknown(NotFound):
    """There is no account with this name."""

    code = "account-unknown"


class AccountTaken(DomainError):
    """An account with this name is there already."""

    code = "account-taken"
    kind = Kind.CONFLICT


class AccountInvalid(DomainError):
    """The name of an account has not the form that is asked for."""

    code = "account-invalid"


def get_person(*, username: str) -> User:
    """The account of a person or a system.

    Raises:
        AccountUnknown: nobody is called that.
    """
    user = User.objects.filter(username=username).first()
    if user is None:
        raise AccountUnknown(_("There is no account named %(username)s.") % {"username": username})
    return user


@transaction.atomic
def reset_password(*, actor: User | str, user: User) -> str:
    """A one-time password for somebody who forgot theirs; answers it: the only time it can be read.

    It must be changed at the first log-in, and a second factor is asked for as before.

    Raises:
        AccountInvalid: a system has no password, and who logs in at a provider only has none either.
    """
    if user.is_system or not user.has_usable_password():
        raise AccountInvalid(_("This account has no password."))
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.must_change_password = True
    user.save(update_fields=["password", "must_change_password"])
    audit.record(actor, "password.reset", obj=user)
    return password


@transaction.atomic
def create_person(
    *, actor: User | str, username: str, name: str, is_system: bool = False
) -> tuple[User, str]:
    """Make an account; returns it with its one-time password: the only time it can be read.

    At the first log-in the password must be changed. A system gets none (the text is empty): it
    shows a bearer token. The account may do nothing until it is given a role.

    Raises:
        AccountTaken: the user name is in use.
        AccountInvalid: the user name or the name cannot be used; the text says why.
    """
    if User.objects.filter(username=username).exists():
        raise AccountTaken(
            _("There is already an account named %(username)s.") % {"username": username}
        )
    if not name.strip():
        raise AccountInvalid(_("An account needs the name of its person or system."))
    user = User(
        username=username,
        first_name=name.strip(),
        is_system=is_system,
        must_change_password=not is_system,
    )
    password = "" if is_system else secrets.token_urlsafe(12)
    user.set_password(password or None)
    try:
        user.full_clean()
    except ValidationError as error:
        raise AccountInvalid("; ".join(error.messages)) from error
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:  # somebody took the name since it was looked for
        raise AccountTaken from error
    audit.record(actor, "account.create", obj=user, detail={"is_system": is_system})
    return user, password
