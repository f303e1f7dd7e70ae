"""Invitations: a one-time link by which somebody gets a role."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common import audit, logs
from common.accounts import demands, people
from common.accounts.models import User
from hospitals import permissions
from hospitals.errors import FieldInvalid, InvitationEnded, PasswordRefused
from hospitals.models import Institution, Invitation, Membership
from hospitals.permissions import Role
from hospitals.selectors.invitations import digest_of, get_open_invitation
from hospitals.services.memberships import grant_membership, may_give, require_scope

log = logs.get_logger(__name__)

LASTS = dt.timedelta(days=7)
NAME_MOST = 150


@dataclass(frozen=True)
class Guest:
    """Who is invited, as what, from when to when; no institution means the whole province."""

    name: str
    role: str
    institution: Institution | None = None
    email: str = ""
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None


@transaction.atomic
def invite(*, actor: User, guest: Guest) -> tuple[Invitation, str]:
    """An invitation that lasts a week, and its code: the only time it can be read.

    Raises:
        NotPermitted: the actor may not give this role there.
        FieldInvalid: a name, a day or an address that cannot be used, or a role that systems have.
    """
    _check(guest)
    permissions.require(may_give(actor, guest.institution))
    code = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        digest=digest_of(code),
        name=guest.name.strip(),
        email=guest.email,
        institution=guest.institution,
        role=guest.role,
        valid_from=guest.valid_from,
        valid_until=guest.valid_until,
        invited_by=actor,
        expires_at=timezone.now() + LASTS,
    )
    _record(actor, "invitation.create", invitation)
    return invitation, code


def send_invitation(*, invitation: Invitation, link: str) -> bool:
    """Mail the link; False where there is no address or no mail goes out now, so that the link is handed over."""
    if not invitation.email:
        return False
    text = _(
        "%(name)s, you are invited to the provincial imaging cloud as: %(role)s.\n\n"
        "Open this link once, within seven days, and choose your user name and password:\n%(link)s\n"
    ) % {"name": invitation.name, "role": invitation.get_role_display(), "link": link}
    try:
        send_mail(_("Provincial imaging cloud: invitation"), text, None, [invitation.email])
    except OSError as error:  # of the network, and what smtplib raises
        log.warning(
            "invitation.not-mailed", invitation_id=invitation.pk, error=type(error).__name__
        )
        return False
    return True


@transaction.atomic
def accept_invitation(*, code: str, user: User) -> Membership:
    """Give the role to an account that is there. Of two who accept at the same time, one is refused.

    The rights are those that the inviting person has now: who may not give the role any more gives none.

    Raises:
        InvitationUnknown: no such code.
        InvitationEnded: used, revoked, expired, or its inviter lost the right to give the role.
        MembershipConflict: the account has this role there at other days.
        FieldInvalid: the account is a system's, or the days are over.
    """
    invitation = get_open_invitation(code=code, lock=True)
    inviter = invitation.invited_by
    if not (inviter.is_active and may_give(inviter, invitation.institution)):
        raise InvitationEnded
    if user.is_system:
        raise FieldInvalid(_("Invitations are for people: systems get their roles from you."))
    start = max(invitation.valid_from or permissions.today(), permissions.today())
    membership = grant_membership(
        actor=inviter,
        user=user,
        role=invitation.role,
        institution=invitation.institution,
        valid_from=start,
        valid_until=invitation.valid_until,
    )
    invitation.accepted_at = timezone.now()
    invitation.accepted_by = user
    invitation.save(update_fields=["accepted_at", "accepted_by"])
    _record(user, "invitation.accept", invitation)
    return membership


@transaction.atomic
def accept_with_new_account(*, code: str, username: str, password: str) -> User:
    """Make the account of the invited person, with a password of their own, and give it the role.

    Raises:
        InvitationUnknown, InvitationEnded: as for an account that is there.
        AccountTaken, AccountInvalid: the user name; the text says why.
        PasswordRefused: the password; the text says why.
    """
    # Locked first: of two who come with the same link, the second sees it used before any account is made.
    invitation = get_open_invitation(code=code, lock=True)
    if username.lower().startswith(demands.DEMO_NAMES):
        raise people.AccountInvalid(_("User names that begin with demo- are those of the demo."))
    user, _once = people.create_person(
        actor=invitation.invited_by, username=username, name=invitation.name
    )
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise PasswordRefused(" ".join(error.messages)) from error
    user.set_password(password)
    user.must_change_password = False
    user.email = invitation.email
    user.save()
    accept_invitation(code=code, user=user)
    return user


@transaction.atomic
def revoke_invitation(*, actor: User, invitation: Invitation) -> None:
    """Take an invitation back. Again: nothing happens.

    Raises:
        NotPermitted: the actor may not give this role there.
        InvitationEnded: it was accepted; end the membership instead.
    """
    permissions.require(may_give(actor, invitation.institution))
    row = Invitation.objects.select_for_update(no_key=True, of=("self",)).get(pk=invitation.pk)
    if row.accepted_at is not None:
        raise InvitationEnded
    if row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        _record(actor, "invitation.revoke", row)


def _check(guest: Guest) -> None:
    require_scope(guest.role, guest.institution)
    name = guest.name.strip()
    if not name or len(name) > NAME_MOST or "\x00" in name:
        raise FieldInvalid(_("Say the name of the person, in at most 150 characters."))
    if guest.role == Role.INTEGRATOR:
        raise FieldInvalid(_("Systems are not invited: make their account and its token."))
    start = guest.valid_from or permissions.today()
    if start < permissions.today():
        raise FieldInvalid(_("The first day lies in the past."))
    if guest.valid_until is not None and guest.valid_until <= start:
        raise FieldInvalid(_("A membership ends after it starts."))
    if guest.email:
        try:
            validate_email(guest.email)
        except ValidationError as error:
            raise FieldInvalid(" ".join(error.messages)) from error


def _record(actor: User, action: str, invitation: Invitation) -> None:
    audit.record(
        actor,
        action,
        obj=invitation,
        institution_id=invitation.institution_id,
        detail={
            "role": invitation.role,
            "from": invitation.valid_from.isoformat() if invitation.valid_from else None,
            "until": invitation.valid_until.isoformat() if invitation.valid_until else None,
        },
    )
