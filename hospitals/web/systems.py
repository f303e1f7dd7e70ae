"""Pages about systems and their bearer tokens."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common.accounts.models import Token, User
from common.errors import DomainError, NotFound, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import said
from hospitals import permissions, selectors, services
from hospitals.errors import FieldInvalid


@require_http_methods(["GET", "HEAD", "POST"])
def systems(request: HttpRequest) -> HttpResponse:
    """``/people/systems/``: the systems of one's institutions; ``POST``: one more."""
    actor = actor_of(request)
    permissions.require(permissions.keeps_people(actor))
    places = list(selectors.kept_institutions(actor=actor))
    context: dict[str, object] = {"institutions": places}
    if request.method == "POST":
        code = request.POST.get("institution", "") or (places[0].code if len(places) == 1 else "")
        try:
            place = next((row for row in places if row.code == code), None)
            if place is None:
                raise FieldInvalid(_("Choose one of your institutions."))
            system = services.add_system(
                actor=actor,
                institution=place,
                username=request.POST.get("username", "").strip().replace("\x00", "")[:151],
                name=request.POST.get("name", "").replace("\x00", "")[:151],
            )
        except (NotFound, NotPermitted):
            raise
        except DomainError as error:
            context |= {"fault": said(error), "given": request.POST}
        else:
            messages.success(request, _("Made. It does nothing until it has a token."))
            return redirect("hospitals:system", username=system.username)
    context["systems"] = selectors.list_systems(actor=actor)
    return page(request, "hospitals/systems.html", context)


@require_safe
def system(request: HttpRequest, username: str) -> HttpResponse:
    """``GET /people/systems/{username}/``: its tokens, and what may be done with them."""
    found = _kept(request, username)
    return _page(request, found)


@require_POST
def issue(request: HttpRequest, username: str) -> HttpResponse:
    """``POST /people/systems/{username}/tokens``: a new token, shown once."""
    found = _kept(request, username)
    days = request.POST.get("days", "")
    try:
        _row, text = services.issue_token(
            actor=actor_of(request),
            system=found,
            days=int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0,
            scope=request.POST.get("scope", ""),
            label=request.POST.get("label", ""),
        )
    except (NotFound, NotPermitted):
        raise
    except DomainError as error:
        messages.error(request, said(error))
        return redirect("hospitals:system", username=username)
    return _page(request, found, text=text)


@require_POST
def rotate(request: HttpRequest, token_id: int) -> HttpResponse:
    """``POST /people/systems/tokens/{id}/rotate``: its successor, shown once; it lives on for some hours."""
    token = _kept_token(request, token_id)
    hours = request.POST.get("grace_hours", "24")
    try:
        _row, text = services.rotate_token(
            actor=actor_of(request),
            token=token,
            grace_hours=int(hours)
            if hours.isascii() and hours.isdigit() and len(hours) < 6
            else -1,
        )
    except (NotFound, NotPermitted):
        raise
    except DomainError as error:
        messages.error(request, said(error))
        return redirect("hospitals:system", username=token.user.username)
    return _page(request, token.user, text=text)


@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """``POST /people/systems/tokens/{id}/revoke``."""
    token = _kept_token(request, token_id)
    services.revoke_token(actor=actor_of(request), token=token)
    messages.success(request, _("Withdrawn: this token is refused within five seconds."))
    return redirect("hospitals:system", username=token.user.username)


def _kept(request: HttpRequest, username: str) -> User:
    # Before the look-up: whoever keeps nobody is told so, whatever the name.
    permissions.require(permissions.keeps_people(request.user))
    return selectors.get_kept_system(actor=request.user, username=username)


def _kept_token(request: HttpRequest, token_id: int) -> Token:
    permissions.require(permissions.keeps_people(request.user))
    return selectors.get_kept_token(actor=request.user, token_id=token_id)


def _page(request: HttpRequest, found: User, *, text: str = "") -> HttpResponse:
    tokens = selectors.list_tokens(actor=request.user, username=found.username)[:100]
    context: dict[str, object] = {
        "system": found,
        "tokens": [(token, services.token_state(token)) for token in tokens],
        "now": timezone.now(),
        "text": text,
        "memberships": selectors.list_lasting_memberships().filter(user=found),
    }
    return page(request, "hospitals/system.html", context)
