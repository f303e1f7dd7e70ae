"""To an OpenID provider and back: to log in, or to link one's account with it."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from common import audit
from common.accounts import entering, oidc
from common.accounts.account_views import reader_of
from common.accounts.public import public

_NEXT = "oidc_next"
_LINK = "oidc_link"
_LINK_S = 600
PROVIDER = "provider"


@public
@require_safe
def begin(request: HttpRequest) -> HttpResponse:
    """``GET /accounts/oidc/``: a link and no form, whose way over other hosts the page policy would stop."""
    _require_provider()
    request.session[_NEXT] = request.GET.get("next", "")[:2000]
    # Not as long as the session: who begins a log-in must not end in a link that was asked for yesterday.
    if not _link_is_wanted(request):
        request.session.pop(_LINK, None)
    return oidc.begin(
        request, redirect_uri=request.build_absolute_uri(reverse("accounts:oidc-back"))
    )


@public
@require_safe
def back(request: HttpRequest) -> HttpResponse:
    """``GET /accounts/oidc/back``: where the provider sends people to."""
    _require_provider()
    claims = oidc.finish(request)
    next_url = request.session.pop(_NEXT, "")
    if _link_is_wanted(request):
        return _link(request, claims)
    try:
        user = oidc.account_of(claims)
    except oidc.PersonNotKnown:
        audit.record(None, "login", result="refused", detail={"by": "oidc"})
        raise
    if claims.second_factor:
        return entering.enter(request, user, by="oidc", second=PROVIDER, next_url=next_url)
    return entering.go_on(request, user, by="oidc", next_url=next_url)


@require_POST
def link(request: HttpRequest) -> HttpResponse:
    """``POST /accounts/oidc/link``: the reader wants it; a page leads on to the provider.

    The wish is in the session and came by a form of ours. Else a stranger's page could send a reader to the provider
    and have the stranger's identity linked with the reader's account.
    """
    provider = _require_provider()
    user = reader_of(request)
    request.session[_LINK] = {"user": user.pk, "at": int(time.time())}
    return render(request, "accounts/link.html", {"provider": provider.name})


@require_POST
def unlink(request: HttpRequest) -> HttpResponse:
    """``POST /accounts/oidc/unlink``: not where it is the only way in."""
    _require_provider()
    user = reader_of(request)
    if not user.has_usable_password():
        messages.error(
            request, _("You have no password here: without the link you could not log in.")
        )
    elif oidc.unlink(user=user):
        messages.success(request, _("The link was taken away."))
    return redirect("accounts:account")


def _link(request: HttpRequest, claims: oidc.Claims) -> HttpResponse:
    request.session.pop(_LINK)
    oidc.link(user=reader_of(request), subject=claims.subject)
    messages.success(request, _("Linked: from now on you can log in that way."))
    return redirect("accounts:account")


def _link_is_wanted(request: HttpRequest) -> bool:
    wish = request.session.get(_LINK)
    return (
        isinstance(wish, dict)
        and wish["user"] == request.user.pk
        and 0 <= time.time() - wish["at"] < _LINK_S
    )


def _require_provider() -> Any:
    if settings.OIDC is None:
        raise Http404
    return settings.OIDC
