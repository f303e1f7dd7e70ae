"""Bearer tokens: made, checked, withdrawn."""

from __future__ import annotations

import copy
import hashlib
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from common import audit
from common.accounts.models import Token, User
from common.errors import DomainError, Kind

_PREFIX = "pic_"  # so that secret scanners and people recognise one
REMEMBERED_S = 3.0  # a withdrawn token or account is refused within five seconds (DESIGN section 7)
_REMEMBERED_MOST = 4096
_COARSE = timedelta(minutes=1)


class TokenRefused(DomainError):
    """The bearer token is unknown, expired or withdrawn."""

    code = "token-refused"
    kind = Kind.NOT_PERMITTED


class TokenEnded(DomainError):
    """This token has expired or was withdrawn: make a new one."""

    code = "token-ended"
    kind = Kind.CONFLICT


class TokenReplaced(DomainError):
    """This token was rotated already; it has a successor."""

    code = "token-replaced"
    kind = Kind.CONFLICT


@dataclass(frozen=True)
class Bearer:
    """Who shows the token, and what the token lets it do."""

    user: User
    token_id: int
    scope: str
    expires_at: float  # seconds of the epoch

    @property
    def reads_only(self) -> bool:
        return self.scope == Token.Scope.READ


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def create_token(
    *,
    actor: User | str,
    user: User,
    days: int = 365,
    scope: str = Token.Scope.FULL,
    label: str = "",
) -> str:
    """Make a token for an account and return it: the only time it can be read."""
    return issue_token(actor=actor, user=user, days=days, scope=scope, label=label)[1]


@transaction.atomic
def issue_token(
    *, actor: User | str, user: User, days: int, scope: str, label: str = ""
) -> tuple[Token, str]:
    """Make a token; answers its row, and the token itself, which can be read only now."""
    token, text = _new_token(user=user, term=timedelta(days=days), scope=scope, label=label)
    audit.record(actor, "token.create", obj=token, detail={"user_id": user.pk, "scope": scope})
    return token, text


@transaction.atomic
def rotate_token(*, actor: User | str, token: Token, grace: timedelta) -> tuple[Token, str]:
    """A successor with the scope, the label and the term of this token, which itself ends after a time of grace.

    Raises:
        TokenEnded: it has expired or was withdrawn.
        TokenReplaced: it has a successor already.
    """
    row = Token.objects.select_for_update(no_key=True).select_related("user").get(pk=token.pk)
    now = timezone.now()
    if row.revoked_at is not None or row.expires_at <= now:
        raise TokenEnded
    if row.replaced_by_id is not None:
        raise TokenReplaced
    successor, text = _new_token(
        user=row.user, term=row.expires_at - row.created_at, scope=row.scope, label=row.label
    )
    row.replaced_by = successor
    row.expires_at = min(row.expires_at, now + grace)
    row.save(update_fields=["replaced_by", "expires_at"])
    detail = {"user_id": row.user_id, "successor": successor.pk}
    audit.record(
        actor, "token.rotate", obj=row, detail=detail | {"until": row.expires_at.isoformat()}
    )
    return successor, text


def _new_token(*, user: User, term: timedelta, scope: str, label: str) -> tuple[Token, str]:
    text = _PREFIX + secrets.token_urlsafe(32)
    now = timezone.now()
    token = Token.objects.create(
        user=user,
        digest=_digest(text),
        prefix=text[:9],
        label=label,
        scope=scope,
        created_at=now,
        expires_at=now + term,
    )
    return token, text


@transaction.atomic
def revoke_token(*, actor: User | str, token: Token) -> None:
    """Withdraw a token; it stops working within five seconds. Again: nothing happens."""
    changed = Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    if changed:
        audit.record(actor, "token.revoke", obj=token, detail={"user_id": token.user_id})


class _Remembered:
    """Answers of the last seconds, in this process: a viewer asks for hundreds of frames in a row."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[float, Bearer]] = {}

    def get(self, digest: bytes) -> Bearer | None:
        found = self._known.get(digest)
        if found is None or found[0] < time.monotonic() or found[1].expires_at <= time.time():
            return None
        return found[1]

    def put(self, digest: bytes, bearer: Bearer) -> None:
        with self._lock:
            if len(self._known) >= _REMEMBERED_MOST:
                self._known.clear()
            self._known[digest] = (time.monotonic() + REMEMBERED_S, bearer)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


remembered = _Remembered()


def resolve_token(text: str) -> Bearer:
    """Who shows this token.

    Raises:
        TokenRefused: unknown, expired or withdrawn, or its account is not active.
    """
    digest = _digest(text)
    bearer = remembered.get(digest)
    if bearer is None:
        bearer = _look_up(digest)
        remembered.put(digest, bearer)
    # A copy, so that what one request remembers on its user never reaches the next.
    return Bearer(copy.copy(bearer.user), bearer.token_id, bearer.scope, bearer.expires_at)


def _look_up(digest: bytes) -> Bearer:
    now = timezone.now()
    token = (
        Token.objects.select_related("user")
        .filter(digest=digest, revoked_at=None, expires_at__gt=now, user__is_active=True)
        .first()
    )
    if token is None:
        raise TokenRefused
    Token.objects.filter(
        Q(last_used_at=None) | Q(last_used_at__lt=now - _COARSE), pk=token.pk
    ).update(last_used_at=now)
    return Bearer(token.user, token.pk, token.scope, token.expires_at.timestamp())
