"""Sessions end when nobody uses them: their end moves with the use, a few minutes at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common.accounts import sessions

# A viewer asks for hundreds of frames a minute: the row is written once in this time, not for each of them.
EXTEND_EVERY_S = 300
_USED_AT = "used_at"


class IdleSessionMiddleware:
    """Extends a person's session by ``SESSION_COOKIE_AGE`` from its use, at most every few minutes.

    A session is looked at only where the request has read it anyway, so it costs no query.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        session = request.session
        if session.accessed and SESSION_KEY in session:
            idle_s = time.time() - int(session.get(_USED_AT, 0))
            # From the future (a clock set back) counts as old: else the session would end in use.
            if idle_s < 0 or idle_s >= EXTEND_EVERY_S:
                _note_use(session)
                sessions.note_use(session)
        return response


def note_login(*, request: HttpRequest, **_: Any) -> None:
    """Begin with the log-in, which writes the row anyway; a receiver of ``user_logged_in``."""
    _note_use(request.session)


def _note_use(session: SessionBase) -> None:
    session[_USED_AT] = int(time.time())
