"""Pages about hospitals: who is connected and how well, and what may be done about it."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from common.errors import DomainError, NotFound, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import in_words, words
from hospitals import permissions, selectors, services

PAGE = 50


def may_list_hospitals(request: HttpRequest) -> bool:
    """Whether the navigation shows the hospitals: everybody with a role here."""
    return request.user.is_superuser or bool(selectors.memberships_of(request.user))


@require_safe
def hospital_list(request: HttpRequest) -> HttpResponse:
    """``GET /hospitals/``: those the reader may see, by code, with a search in code and name."""
    text = request.GET.get("q", "").strip()[:100]
    rows = [row for row in selectors.health_overview(actor=request.user) if _matches(row, text)]
    found = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return page(
        request,
        "hospitals/list.html",
        {"found": found, "q": text},
        fragment="hospitals/_rows.html",
    )


@require_safe
def hospital(request: HttpRequest, code: str) -> HttpResponse:
    """``GET /hospitals/{code}/``: one hospital, with the panels of the modules above."""
    actor = actor_of(request)
    row = selectors.get_health(actor=actor, code=code)
    may_probe = permissions.may_probe(actor, institution_id=row.institution_id)
    context: dict[str, object] = {
        "row": row,
        "may_probe": may_probe and bool(row.endpoint_kind),
        "may_administer": permissions.may_administer(actor),
        # Where an archive answers is for those who keep the line; a reader of figures needs it not.
        "shows_line": may_probe,
    }
    return page(request, "hospitals/hospital.html", context)


@require_POST
def probe(request: HttpRequest, code: str) -> HttpResponse:
    """``POST /hospitals/{code}/probe``: ask the archive now what it can do."""

    def act() -> None:
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        result = services.probe(actor=actor_of(request), institution=institution)
        if result.reachable:
            messages.success(request, _("Probed: the archive answers."))
        else:
            messages.error(request, str(words(result.error_code).what))

    return _done(request, code, act)


@require_POST
def suspend(request: HttpRequest, code: str) -> HttpResponse:
    """``POST /hospitals/{code}/suspend``: ask nothing of it until it is activated again."""

    def act() -> None:
        selectors.get_visible_institution(actor=request.user, code=code)
        reason = request.POST.get("reason", "")
        services.suspend(actor=actor_of(request), code=code, reason=reason)
        told = _("Suspended: nothing is asked of this hospital until it is activated again.")
        messages.success(request, told)

    return _done(request, code, act)


@require_POST
def activate(request: HttpRequest, code: str) -> HttpResponse:
    """``POST /hospitals/{code}/activate``: pull from it from now on."""

    def act() -> None:
        selectors.get_visible_institution(actor=request.user, code=code)
        services.activate(actor=actor_of(request), code=code)
        messages.success(request, _("Activated: this hospital is pulled from now on."))

    return _done(request, code, act)


def _done(request: HttpRequest, code: str, act: Callable[[], None]) -> HttpResponse:
    """Do it, say how it went, and go back to the hospital's page (so that a reload repeats nothing)."""
    try:
        act()
    except (NotFound, NotPermitted):
        raise
    except DomainError as error:
        messages.error(request, in_words(error))
    return redirect("hospitals:hospital", code=code)


def _matches(row: selectors.HealthRow, text: str) -> bool:
    return not text or text.lower() in f"{row.code} {row.name} {row.region_name}".lower()
