"""Asking a person again who is logged in, before a signature: password, and one-time code where there is one."""

from __future__ import annotations

from django.utils.translation import gettext as _

from common import audit, request_context
from common.accounts import codes, factors, throttle
from common.accounts.models import User
from common.errors import DomainError, Kind


class NotConfirmed(DomainError):
    """Password or one-time code do not agree: nothing was signed."""

    code = "not-confirmed"
    kind = Kind.NOT_PERMITTED


def needs_password(user: User) -> bool:
    """Whether a password is asked for; whoever logs in elsewhere (OIDC) may have none here."""
    return user.has_usable_password()


def confirm_person(user: User, *, password: str, code: str, purpose: str) -> bool:
    """Return when the person has shown who they are; whether a second factor was part of it.

    Counts failures as the log-in does, so that a session left open is no place to try passwords. The password is
    tried first: a one-time code is good once, and is not to be spent on a wrong password.

    Raises:
        NotConfirmed: something does not agree, the account is locked, or it has nothing to be asked for.
    """
    address = request_context.current().address
    second = factors.has_factor(user)
    if throttle.locked_until(username=user.username, address=address) is not None:
        raise NotConfirmed(_("Too many failed attempts: try again in some minutes."))
    if not (user.has_usable_password() or second):
        raise NotConfirmed(
            _("Your account has neither a password nor a second factor here: set one up first.")
        )
    right = not user.has_usable_password() or user.check_password(password)
    if right and second:
        right = _shows_code(user, code)
    if right:
        return second
    throttle.count_failure(username=user.username, address=address)
    audit.record(user, "identity.confirm", obj=user, purpose=purpose, result="refused")
    raise NotConfirmed(
        _("Password or one-time code do not agree.")
        if second
        else _("The password does not agree.")
    )


def _shows_code(user: User, code: str) -> bool:
    """Whether the one-time code is right. Wrong ones are counted as the log-in's: apart from passwords, whose count
    ends with every log-in, so that who knows the password cannot try codes without end."""
    if not factors.looks_like_generator_code(code):
        return False
    try:
        return bool(codes.show(user, code))
    except codes.Locked:
        raise NotConfirmed(_("Too many failed attempts: try again in some minutes.")) from None
