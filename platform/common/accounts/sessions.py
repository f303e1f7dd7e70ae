"""Where a person is logged in: listed with device and address, ended one by one or all at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from common import audit, request_context
from common.accounts.devices import device_name
from common.accounts.models import PersonSession, User
from common.accounts.person import forget_people
from common.errors import NotFound


class SessionUnknown(NotFound):
    """There is no such session, or it has ended."""

    code = "session-unknown"


@dataclass(frozen=True)
class SessionRow:
    """One line of the list."""

    id: int
    device: str
    address: str
    started_at: datetime
    last_used_at: datetime
    is_current: bool


def note_start(*, request: HttpRequest, user: Any, **_: Any) -> None:
    """Remember where somebody logged in; a receiver of ``user_logged_in``."""
    key = request.session.session_key
    if not key or not isinstance(user, User):
        return
    now = timezone.now()
    idle = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    PersonSession.objects.filter(user=user, last_used_at__lt=now - 2 * idle).delete()
    PersonSession.objects.update_or_create(
        session_key=key,
        defaults={
            "user": user,
            "device": device_name(request.META.get("HTTP_USER_AGENT", "")),
            "address": request_context.current().address,
            "started_at": now,
            "last_used_at": now,
        },
    )


def note_end(*, request: HttpRequest, **_: Any) -> None:
    """A receiver of ``user_logged_out``, which comes before the session is emptied."""
    PersonSession.objects.filter(session_key=request.session.session_key or "").delete()


def note_use(session: SessionBase) -> None:
    """Move the instant of last use; called as rarely as the session itself is written."""
    PersonSession.objects.filter(session_key=session.session_key or "").update(
        last_used_at=timezone.now(), address=request_context.current().address
    )


def renew_key(request: HttpRequest) -> None:
    """Give the session another key, so that who knew the former one has nothing."""
    former = request.session.session_key
    request.session.cycle_key()
    follow_key(request, former)


def follow_key(request: HttpRequest, former: str | None) -> None:
    """Carry the list over to the key that the session has now."""
    PersonSession.objects.filter(session_key=former or "").update(
        session_key=request.session.session_key
    )
    forget_people()


def list_sessions(user: User, *, current: str | None = None) -> list[SessionRow]:
    """The sessions of a person that have not ended, the last used first."""
    rows = list(PersonSession.objects.filter(user=user))
    alive = set(
        Session.objects.filter(
            session_key__in=[row.session_key for row in rows], expire_date__gt=timezone.now()
        ).values_list("session_key", flat=True)
    )
    return [
        SessionRow(
            id=row.pk,
            device=row.device,
            address=row.address,
            started_at=row.started_at,
            last_used_at=row.last_used_at,
            is_current=row.session_key == current,
        )
        for row in rows
        if row.session_key in alive
    ]


def end_session(*, actor: User, user: User, session_id: int) -> None:
    """End one session of a person; its next request is a stranger's, within five seconds everywhere.

    Raises:
        SessionUnknown: it is not this person's, or has ended.
    """
    row = PersonSession.objects.filter(user=user, pk=session_id).first()
    if row is None:
        raise SessionUnknown
    _end([row])
    audit.record(actor, "session.end", obj=user, detail={"sessions": 1})


def end_sessions(*, actor: User | str, user: User, but: str | None = None) -> int:
    """End all sessions of a person, or all ``but`` one; how many there were."""
    rows = list(PersonSession.objects.filter(user=user).exclude(session_key=but or ""))
    _end(rows)
    if rows:
        audit.record(actor, "session.end", obj=user, detail={"sessions": len(rows)})
    return len(rows)


def _end(rows: list[PersonSession]) -> None:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    for row in rows:
        store(row.session_key).delete()
    PersonSession.objects.filter(pk__in=[row.pk for row in rows]).delete()
    forget_people()
