"""Closed by default: a view answers only people and systems that are known, unless it is marked public."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils.translation import gettext as _

from common.accounts import demands, passwords
from common.accounts.bearer import bearer_of
from common.accounts.public import is_public
from common.accounts.reading import only_reads
from common.accounts.tokens import TokenRefused, resolve_token
from common.problem import error_response, is_page

_CHALLENGE = 'Bearer realm="imaging"'
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class ClosedByDefaultMiddleware:
    """Lets in by session or by bearer token (RFC 6750), for plain views and REST views alike.

    A token, where one is shown, decides alone: no fallback to the session that the browser may also carry.
    Strangers get 401 from interfaces and the log-in page from pages.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        scheme, _space, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self._admit(request, credentials.strip())
        return self.get_response(request)

    def _admit(self, request: HttpRequest, credentials: str) -> None:
        # A browser never adds this header by itself, so the request cannot be a forged one (CSRF).
        request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        try:
            bearer = resolve_token(credentials)
        except TokenRefused:
            request.user = AnonymousUser()
            request.token_refused = True  # type: ignore[attr-defined]
            return
        request.bearer = bearer  # type: ignore[attr-defined]
        request.user = bearer.user

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponse | None:
        if is_public(view):
            return None
        if not request.user.is_authenticated:
            return _turn_away(request)
        structlog.contextvars.bind_contextvars(user_id=request.user.pk)
        bearer = bearer_of(request)
        if bearer is None:
            return _password_first(request) or _second_factor_first(request)
        if bearer.reads_only and request.method not in _SAFE and not only_reads(view):
            return error_response(
                request, 403, code="token-reads-only", detail=_("This token is for reading only.")
            )
        return None


def _turn_away(request: HttpRequest) -> HttpResponse:
    refused = getattr(request, "token_refused", False)
    if is_page(request) and not refused:
        if request.headers.get("HX-Request") == "true":
            # A redirect would put the log-in page into a fragment of the page in hand.
            return HttpResponse(
                status=401,
                headers={"HX-Redirect": resolve_url("accounts:login")},
                content_type="text/plain",
            )
        return redirect_to_login(request.get_full_path())
    challenge = f'{_CHALLENGE}, error="invalid_token"' if refused else _CHALLENGE
    return error_response(
        request,
        401,
        code="token-refused" if refused else "not-authenticated",
        detail=_("Log in, or send a valid bearer token."),
        headers={"WWW-Authenticate": challenge},
    )


def _password_first(request: HttpRequest) -> HttpResponse | None:
    user: Any = request.user
    if not (getattr(user, "must_change_password", False) or passwords.has_ended(user)):
        return None
    return _only(
        request,
        "accounts:password",
        code="password-to-be-changed",
        detail=_("Log in on the pages and choose a password of your own first."),
    )


def _second_factor_first(request: HttpRequest) -> HttpResponse | None:
    if not demands.is_missing(request):
        return None
    return _only(
        request,
        "accounts:enrol",
        code="second-factor-missing",
        detail=_("Log in on the pages and set up a second factor first."),
    )


def _only(request: HttpRequest, place: str, *, code: str, detail: str) -> HttpResponse | None:
    """Nothing but this page: others lead to it, interfaces say why not. Whoever wants to leave may."""
    match = request.resolver_match
    if match is not None and match.view_name in {place, "accounts:logout"}:
        return None
    if not is_page(request):
        return error_response(request, 403, code=code, detail=detail)
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(
            status=403, headers={"HX-Redirect": resolve_url(place)}, content_type="text/plain"
        )
    return redirect(place)
