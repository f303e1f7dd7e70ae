"""Invitations that are open, and those that an administrator keeps."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from hospitals.errors import InvitationEnded, InvitationUnknown
from hospitals.models import Invitation
from hospitals.permissions import kept_places

CODE_MOST = 200


def digest_of(code: str) -> bytes:
    """What is kept of a code."""
    return hashlib.sha256(code.encode()).digest()


def get_open_invitation(*, code: str, lock: bool = False) -> Invitation:
    """The invitation of a code that can be accepted now; with ``lock``, by nobody else meanwhile.

    Raises:
        InvitationUnknown: no such code.
        InvitationEnded: used, revoked or expired.
    """
    rows = Invitation.objects.select_related("institution", "invited_by")
    if lock:
        rows = rows.select_for_update(no_key=True, of=("self",))
    row = rows.filter(digest=digest_of(code[:CODE_MOST])).first()
    if row is None:
        raise InvitationUnknown
    if row.accepted_at or row.revoked_at or row.expires_at <= timezone.now():
        raise InvitationEnded
    return row


def list_open_invitations(*, actor: Any) -> QuerySet[Invitation]:
    """Those that can be accepted now, of the places whose people the actor keeps; the newest first."""
    rows = _kept(actor).filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())
    return rows.select_related("institution", "invited_by")


def get_kept_invitation(*, actor: Any, invitation_id: int) -> Invitation:
    """One invitation of the places whose people the actor keeps.

    Raises:
        InvitationUnknown: there is none, or it is another place's.
    """
    row = _kept(actor).select_related("institution").filter(pk=invitation_id).first()
    if row is None:
        raise InvitationUnknown
    return row


def _kept(actor: Any) -> QuerySet[Invitation]:
    places = kept_places(actor)
    condition = Q() if places is None else Q(institution_id__in=places)
    return Invitation.objects.filter(condition)
