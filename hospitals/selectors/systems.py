"""Systems and their bearer tokens, as those see them who keep them."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from common.accounts.models import Token, User
from hospitals.errors import SystemUnknown, TokenUnknown
from hospitals.models import Membership
from hospitals.permissions import keeps_people, kept_places, today


def kept_systems(actor: Any) -> QuerySet[User]:
    """The system accounts whose tokens an account keeps: all for the commission; for an institution's administrator
    those that work nowhere else; for a system itself, its own. Nobody else keeps any."""
    systems = User.objects.filter(is_system=True)
    if getattr(actor, "is_system", False):
        return systems.filter(pk=actor.pk, is_active=True)
    if not keeps_people(actor):
        return systems.none()
    places = kept_places(actor)
    if places is None:
        return systems
    lasting = Membership.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=today()), user_id=OuterRef("pk")
    )
    here = lasting.filter(institution_id__in=places)
    elsewhere = lasting.exclude(institution_id__in=places) | lasting.filter(institution=None)
    return systems.filter(Exists(here), ~Exists(elsewhere))


def list_systems(*, actor: Any) -> QuerySet[User]:
    """Those systems by name, with how many tokens are live and when one was last used."""
    live = Q(tokens__revoked_at=None, tokens__expires_at__gt=timezone.now())
    return (
        kept_systems(actor)
        .annotate(
            live_tokens=Count("tokens", filter=live), token_used_at=Max("tokens__last_used_at")
        )
        .order_by("username")
    )


def get_kept_system(*, actor: Any, username: str) -> User:
    """One of them by its name.

    Raises:
        SystemUnknown: there is none, or somebody else keeps it.
    """
    user = kept_systems(actor).filter(username=username).first()
    if user is None:
        raise SystemUnknown
    return user


def list_tokens(*, actor: Any, username: str = "") -> QuerySet[Token]:
    """Tokens of the systems that the actor keeps, the newest first."""
    rows = Token.objects.filter(user__in=kept_systems(actor)).select_related("user", "replaced_by")
    rows = rows.order_by("-created_at", "-pk")
    return rows.filter(user__username=username) if username else rows


def get_kept_token(*, actor: Any, token_id: int) -> Token:
    """One of them.

    Raises:
        TokenUnknown: there is none, or it is of a system that somebody else keeps.
    """
    row = list_tokens(actor=actor).filter(pk=token_id).first()
    if row is None:
        raise TokenUnknown
    return row
