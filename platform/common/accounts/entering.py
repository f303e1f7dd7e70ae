"""From a password to a session: with a second factor in between where the person has one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme

from common import audit
from common.accounts import demands, factors
from common.accounts.models import User
from common.accounts.person import forget_people

BACKEND = "django.contrib.auth.backends.ModelBackend"
_PENDING = "half_login"
_PENDING_S = 600


@dataclass(frozen=True)
class HalfLogin:
    """Somebody has shown the first factor and still owes the second."""

    user: User
    by: str
    next_url: str


def go_on(request: HttpRequest, user: User, *, by: str, next_url: str = "") -> HttpResponse:
    """After the first factor (``by``): in, or to the page that asks for the second."""
    if not factors.has_factor(user):
        return enter(request, user, by=by, next_url=next_url)
    request.session.cycle_key()
    request.session[_PENDING] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "by": by,
        "next": next_url,
        "at": int(time.time()),
    }
    return redirect("accounts:code")


def half_login(request: HttpRequest) -> HalfLogin | None:
    """Whose second factor is awaited; None after ten minutes, a change of password, or the account's end."""
    held: Any = request.session.get(_PENDING)
    if not isinstance(held, dict) or not 0 <= time.time() - held["at"] < _PENDING_S:
        return None
    user = User.objects.filter(pk=held["user"], is_active=True, is_system=False).first()
    if user is None or not constant_time_compare(held["hash"], user.get_session_auth_hash()):
        return None
    return HalfLogin(user, held["by"], held["next"])


def enter(
    request: HttpRequest, user: User, *, by: str, second: str = "", next_url: str = ""
) -> HttpResponse:
    """Begin the session; ``second`` says how the second factor was shown, if it was."""
    request.session.pop(_PENDING, None)
    login(request, user, backend=BACKEND)
    if second:
        mark_verified(request, second)
    audit.record(user, "login", detail={"by": by, "second": second})
    response = redirect(_safe(request, next_url) or resolve_url(settings.LOGIN_REDIRECT_URL))
    if user.language:
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, samesite="Lax")
    return response


def mark_verified(request: HttpRequest, how: str) -> None:
    """Note in the session that a second factor was shown."""
    request.session[demands.MARK] = how
    forget_people()


def _safe(request: HttpRequest, url: str) -> str:
    allowed = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if allowed else ""
