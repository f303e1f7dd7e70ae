"""Requests of a launch: in the clinician's name, narrowed to one person, to reading, and to a few pages (ADR 0028)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from common.problem import error_response, is_dicomweb, is_page
from sharing.selectors.launches import LaunchSession, session_of

COOKIE = "launch"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Pages of one person or of one study; what is in the study is asked of the access decision as ever.
OF_THE_PERSON = frozenset({"sharing:patient", "sharing:compare"})
OF_STUDIES = frozenset(
    {
        "sharing:study",
        "sharing:open",
        "sharing:priors",
        "sharing:view",
        "sharing:slices",
        "sharing:report",
        "sharing:report-beside",
        "viewer",
        "viewer-file",
    }
)
OF_THE_LAUNCH = frozenset(
    {
        "sharing:launch",
        "sharing:launch-signed",
        "sharing:launch-ready",
        "sharing:launch-end",
        "healthz",
        "readyz",
    }
)


def launch_of(request: HttpRequest) -> LaunchSession | None:
    """The launch that this request belongs to; None for all others."""
    return getattr(request, "launch", None)


class LaunchMiddleware:
    """Lets a launch's cookie decide alone, before whatever session the browser also carries: the narrower right wins.

    A bearer token is somebody else's business and goes before both.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = request.COOKIES.get(COOKIE, "")
        session = None
        if token and "Authorization" not in request.headers:
            session = session_of(token[:100])
        if session is None or (not session.in_force and request.user.is_authenticated):
            return self.get_response(request)  # one that has ended takes nobody's own session away
        request.launch = session  # type: ignore[attr-defined]
        if session.in_force:
            request.user = session.actor()
        answer = self.get_response(request)
        if not is_dicomweb(request):
            let_frame(answer, session.origins)
        return answer

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponse | None:
        session = launch_of(request)
        if session is None:
            return None
        match = request.resolver_match
        name = match.view_name if match else ""
        if name in OF_THE_LAUNCH:
            return None
        if not session.in_force:
            return _over(request, session)
        if request.method not in _SAFE or not _is_open(request, name, kwargs, session):
            return error_response(
                request,
                403,
                code="not-in-this-launch",
                detail=_("This view shows one patient only."),
            )
        return None


def _is_open(
    request: HttpRequest, name: str, kwargs: dict[str, Any], session: LaunchSession
) -> bool:
    if is_dicomweb(request):
        # Asking hospitals is a search by whatever somebody types: not of one person any more.
        return "federated" not in request.GET
    if name in OF_THE_PERSON:
        return bool(kwargs.get("key") == session.person_key)
    return name in OF_STUDIES


def _over(request: HttpRequest, session: LaunchSession) -> HttpResponse:
    if is_page(request):
        return redirect("sharing:launch-ready", session.institution_code)
    return error_response(
        request, 401, code="launch-over", detail=_("This view has ended: open it again.")
    )


def let_frame(answer: HttpResponseBase, origins: tuple[str, ...]) -> None:
    """Let the pages of these origins hold the answer in a frame; without any it stays in nobody's."""
    if not origins:
        return
    answer.headers.pop("X-Frame-Options", None)
    policy = dict(getattr(answer, "_csp_replace", None) or {})
    policy["frame-ancestors"] = list(origins)
    answer._csp_replace = policy  # type: ignore[attr-defined]  # what csp_replace sets
