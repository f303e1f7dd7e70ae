"""Systems and their bearer tokens: made, rotated and withdrawn by those who keep them."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common.accounts import people, tokens
from common.accounts.models import Token, User
from common.errors import NotPermitted
from hospitals.errors import FieldInvalid, SystemUnknown, TokenUnknown
from hospitals.models import Institution
from hospitals.permissions import Role
from hospitals.selectors.systems import get_kept_token, kept_systems
from hospitals.services.memberships import grant_membership

DAYS_MOST = 3650
GRACE_HOURS_MOST = 30 * 24
LABEL_MOST = 100


@transaction.atomic
def add_system(*, actor: User, institution: Institution, username: str, name: str) -> User:
    """A system account with the role of an integrator; it does nothing until it has a token.

    Raises:
        NotPermitted: the actor may not give roles there.
        AccountTaken, AccountInvalid: the user name or the name; the text says why.
    """
    user, _password = people.create_person(
        actor=actor, username=username, name=name, is_system=True
    )
    grant_membership(actor=actor, user=user, role=Role.INTEGRATOR, institution=institution)
    return user


def issue_token(
    *, actor: User, system: User, days: int, scope: str, label: str = ""
) -> tuple[Token, str]:
    """A token of a system; answers it too: the only time it can be read.

    Raises:
        NotPermitted: a system asks for itself. It may rotate the token it has, so that one that was stolen
            cannot be turned into others unnoticed.
        SystemUnknown: somebody else keeps that system, or its account is closed.
        FieldInvalid: a term, a scope or a label that cannot be.
    """
    if actor.is_system:
        raise NotPermitted(
            _("A system rotates the token that it has; new ones are made by its keeper.")
        )
    if not kept_systems(actor).filter(pk=system.pk, is_active=True).exists():
        raise SystemUnknown
    if not 1 <= days <= DAYS_MOST:
        raise FieldInvalid(_("A token lives between 1 and 3650 days."))
    if scope not in Token.Scope.values:
        raise FieldInvalid(_("The scope is one of: full, read."))
    label = label.strip()
    if len(label) > LABEL_MOST or "\x00" in label:
        raise FieldInvalid(_("The label is too long."))
    return tokens.issue_token(actor=actor, user=system, days=days, scope=scope, label=label)


def token_state(token: Token) -> str:
    """``live``, ``replaced`` (lives for its time of grace), ``expired`` or ``revoked``."""
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at <= timezone.now():
        return "expired"
    return "live" if token.replaced_by_id is None else "replaced"


def rotate_token(*, actor: User, token: Token, grace_hours: int = 24) -> tuple[Token, str]:
    """The token's successor, while the old one lives for some hours more.

    Raises:
        TokenUnknown: it is of a system that somebody else keeps.
        FieldInvalid: a time of grace that cannot be.
        TokenEnded, TokenReplaced: see ``common.accounts.tokens``.
    """
    if not 0 <= grace_hours <= GRACE_HOURS_MOST:
        raise FieldInvalid(_("The time of grace lies between 0 and 720 hours."))
    kept = get_kept_token(actor=actor, token_id=token.pk)
    if not kept.user.is_active:
        raise TokenUnknown
    return tokens.rotate_token(actor=actor, token=kept, grace=dt.timedelta(hours=grace_hours))


def revoke_token(*, actor: User, token: Token) -> None:
    """Withdraw a token; it stops working within five seconds.

    Raises:
        TokenUnknown: it is of a system that somebody else keeps.
    """
    tokens.revoke_token(actor=actor, token=get_kept_token(actor=actor, token_id=token.pk))
