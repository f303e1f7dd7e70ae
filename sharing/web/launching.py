"""Where order-entry systems send the browsers of their clinicians."""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from common.accounts.public import public
from common.errors import DomainError
from common.problem import status_of
from common.ui.pages import page
from sharing.domain.launch import NAMES, SignedForm
from sharing.errors import LaunchRefused
from sharing.models import Launch
from sharing.selectors.launches import origins_of
from sharing.services import launching
from sharing.web.launch_middleware import COOKIE, launch_of, let_frame


@public
@require_safe
def launch(request: HttpRequest, code: str) -> HttpResponseBase:
    """``GET /launch/{code}/``: opens a launch that was asked for by the API, once."""
    if request.method == "HEAD":  # a look at the address uses nothing up
        return HttpResponse(content_type="text/html; charset=utf-8")
    try:
        return _opened(request, code)
    except DomainError as error:
        return _refused(request, error)


@method_decorator(public, name="dispatch")
@method_decorator(csrf_exempt, name="dispatch")  # another site's form: its signature is the proof
@method_decorator(sensitive_post_parameters(), name="dispatch")
class SignedLaunch(View):
    """``POST /launch/signed/``: a form that the order-entry system signed; opened at once."""

    is_public = True
    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        values = {name: request.POST.get(name, "") for name in NAMES}
        if "\x00" in "".join(values.values()):
            return _refused(request, LaunchRefused())
        try:
            asked = launching.take_signed(
                form=SignedForm(**values), given=request.POST.get("signature", "")
            )
            return _opened(request, asked.code)
        except DomainError as error:
            return _refused(request, error)


@public
@require_safe
def ready(request: HttpRequest, code: str) -> HttpResponseBase:
    """``GET /launch/ready/{institution}/``: on to the patient if the browser kept the cookie; else says what to do."""
    session = launch_of(request)
    if session is not None and session.in_force:
        return redirect("sharing:patient", session.person_key)
    answer = page(request, "sharing/launch.html", {"over": session is not None})
    let_frame(answer, origins_of(code))
    return answer


@public
@csrf_exempt  # it ends only what its own cookie began, and the cookies of forms are not sent in frames
@require_POST
def end(request: HttpRequest) -> HttpResponseBase:
    """``POST /launch/end/``: the clinician has finished."""
    session = launch_of(request)
    code = session.institution_code if session else ""
    if session is not None and _is_same_site(request):
        launching.end_launch(launch_id=session.launch_id)
    answer = page(request, "sharing/launch.html", {"over": True})
    let_frame(answer, origins_of(code))
    return answer


def _is_same_site(request: HttpRequest) -> bool:
    return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _opened(request: HttpRequest, code: str) -> HttpResponseBase:
    opened, session = launching.open_launch(code=code)
    answer = redirect("sharing:launch-ready", opened.institution.code)
    _set_cookie(request, answer, opened, session)
    return answer


def _refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Nothing of why but what the caller can mend. 404 where the code is none: it opens nothing."""
    status = 404 if isinstance(error, LaunchRefused) else status_of(error)
    context = {"over": True, "refusal": error.code}
    answer = page(request, "sharing/launch.html", context)
    answer.status_code = status
    return answer


class _Partitioned(Morsel[str]):
    """A cookie that is kept apart for each site that holds us in a frame (CHIPS), which this Django cannot say."""

    def OutputString(self, attrs: Any = None) -> str:
        return f"{super().OutputString(attrs)}; Partitioned"


def _set_cookie(request: HttpRequest, answer: HttpResponse, launch: Launch, session: str) -> None:
    """In a frame of another site a browser sends only cookies with SameSite=None, which must be secure.

    Browsers take loopback for secure. Elsewhere without TLS there is no cookie for frames: the window of its own works.
    """
    host = urlsplit(f"//{request.get_host()}").hostname or ""
    secure = settings.SESSION_COOKIE_SECURE or host in {"localhost", "127.0.0.1", "::1"}
    seconds = max(1, int((launch.expires_at - timezone.now()).total_seconds()))
    morsel: Morsel[str] = _Partitioned() if secure else Morsel()
    morsel.set(COOKIE, session, session)
    morsel["max-age"] = str(seconds + 60)  # a minute to say that it has ended
    morsel["path"] = "/"
    morsel["httponly"] = True
    if secure:
        morsel["secure"] = True
    morsel["samesite"] = "None" if secure else "Lax"
    dict.__setitem__(answer.cookies, COOKIE, morsel)
