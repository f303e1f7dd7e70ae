"""Pages of those who keep the people of an institution, or of the province."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common.errors import DomainError, NotFound, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import said
from hospitals import permissions, selectors, services
from hospitals.models import Membership
from hospitals.selectors.people import STATES, PeopleSearch


def may_keep_people(request: HttpRequest) -> bool:
    """Whether the navigation shows the people."""
    return permissions.keeps_people(request.user)


@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """``GET /people/``: who has which role here, and who is invited."""
    actor = actor_of(request)
    search = _search(request)
    found = selectors.list_people(actor=actor, search=search, page=request.GET.get("page"))
    context: dict[str, object] = {
        "found": found,
        "search": search,
        "roles": _roles(actor),
        "states": _states(),
        "everywhere": permissions.kept_places(actor) is None,
        "invitations": selectors.list_open_invitations(actor=actor)[:50],
        "institutions": selectors.kept_institutions(actor=actor),
    }
    return page(request, "hospitals/people.html", context, fragment="hospitals/_people_rows.html")


@require_safe
def person(request: HttpRequest, membership_id: int) -> HttpResponse:
    """``GET /people/{membership}/``: one person in one role, and what may be done about it."""
    actor = actor_of(request)
    row = selectors.get_kept_person(actor=actor, membership_id=membership_id)
    context: dict[str, object] = {
        "row": row,
        "may_keep_account": permissions.keeps_person(actor, row.user),
        "is_last": row.state == "in-force" and selectors.is_last_administrator(row.membership),
    }
    return page(request, "hospitals/person.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def end(request: HttpRequest, membership_id: int) -> HttpResponse:
    """``/people/{membership}/end``: asks whether it is meant, then takes the role back."""
    row = selectors.get_kept_person(actor=actor_of(request), membership_id=membership_id)
    day = _day(request, "on") or permissions.today()
    is_last = selectors.is_last_administrator(row.membership, on=day)
    context: dict[str, object] = {"row": row, "is_last": is_last, "today": permissions.today()}
    if request.method != "POST":
        return page(request, "hospitals/person_end.html", context)
    try:
        services.end_membership(
            actor=actor_of(request),
            membership=row.membership,
            on=day,
            last_is_meant=request.POST.get("last") == "yes",
        )
    except (NotFound, NotPermitted):
        raise
    except DomainError as error:
        context |= {"fault": said(error), "is_last": is_last}
        return render(request, "hospitals/person_end.html", context, status=409)
    messages.success(request, _("This membership ends on the day that you named."))
    return redirect("hospitals:people")


@require_POST
def prolong(request: HttpRequest, membership_id: int) -> HttpResponse:
    """``POST /people/{membership}/prolong``: to a later day, or without an end."""
    row = selectors.get_kept_person(actor=actor_of(request), membership_id=membership_id)
    until = _day(request, "until")
    if until is None and request.POST.get("open") != "yes":
        messages.error(request, _("Name the first day without the role, or that it has no end."))
        return redirect("hospitals:person", membership_id=membership_id)
    try:
        services.prolong_membership(actor=actor_of(request), membership=row.membership, until=until)
    except (NotFound, NotPermitted):
        raise
    except DomainError as error:
        messages.error(request, said(error))
    else:
        messages.success(request, _("Prolonged."))
    return redirect("hospitals:person", membership_id=membership_id)


@require_POST
def unlock(request: HttpRequest, membership_id: int) -> HttpResponse:
    """``POST /people/{membership}/unlock``: after too many wrong passwords or codes."""
    actor = actor_of(request)
    row = selectors.get_kept_person(actor=actor, membership_id=membership_id)
    if services.release_lock(actor=actor, user=row.user):
        messages.success(request, _("Released: this person may try again at once."))
    else:
        messages.info(request, _("This account is not locked."))
    return redirect("hospitals:person", membership_id=membership_id)


@require_http_methods(["GET", "HEAD", "POST"])
def reset(request: HttpRequest, membership_id: int) -> HttpResponse:
    """``/people/{membership}/reset``: asks whether it is meant, then takes the second factor away."""
    actor = actor_of(request)
    row = selectors.get_kept_person(actor=actor, membership_id=membership_id)
    permissions.require(permissions.keeps_person(actor, row.user))
    if request.method != "POST":
        return page(request, "hospitals/person_reset.html", {"row": row})
    try:
        services.reset_second_factor(actor=actor, user=row.user)
    except NotPermitted:
        raise
    except DomainError as error:
        messages.error(request, said(error))
    else:
        messages.success(
            request, _("Reset: at the next log-in this person sets up a second factor anew.")
        )
    return redirect("hospitals:person", membership_id=membership_id)


@require_http_methods(["GET", "HEAD", "POST"])
def new_password(request: HttpRequest, membership_id: int) -> HttpResponse:
    """``/people/{membership}/password``: asks whether it is meant, then shows a one-time password, once."""
    actor = actor_of(request)
    row = selectors.get_kept_person(actor=actor, membership_id=membership_id)
    permissions.require(permissions.keeps_person(actor, row.user))
    context: dict[str, object] = {"row": row}
    if request.method == "POST":
        try:
            context["password"] = services.reset_password(actor=actor, user=row.user)
        except NotPermitted:
            raise
        except DomainError as error:
            messages.error(request, said(error))
            return redirect("hospitals:person", membership_id=membership_id)
    return page(request, "hospitals/person_password.html", context)


def own_roles(request: HttpRequest, account: Any) -> dict[str, Any]:
    """The roles of the reader's own account, for its page: today's, and those that come."""
    return {"memberships": selectors.list_lasting_memberships().filter(user_id=account.pk)}


def _search(request: HttpRequest) -> PeopleSearch:
    given = {
        name: request.GET.get(name, "").replace("\x00", "")[:100]
        for name in ("q", "role", "institution", "state")
    }
    everywhere = permissions.kept_places(request.user) is None
    return PeopleSearch(
        text=given["q"],
        # A province has thousands: the commission begins with those that it gives roles itself.
        role=given["role"] or ("leading" if everywhere and "role" not in request.GET else ""),
        institution=given["institution"],
        state=given["state"] if given["state"] in (*STATES, "all") else "in-force",
    )


def _roles(actor: object) -> list[tuple[str, str]]:
    """Those that this administrator keeps, as the search offers them."""
    roles = [(role.value, str(role.label)) for role in Membership.Role]
    if permissions.kept_places(actor) is None:
        return [("leading", _("Province and administrators")), *roles]
    return [pair for pair in roles if pair[0] not in permissions.PROVINCE_WIDE]


def _states() -> list[tuple[str, str]]:
    return [
        ("in-force", _("In force")),
        ("coming", _("Coming")),
        ("ended", _("Ended")),
        ("all", _("All")),
    ]


def _day(request: HttpRequest, name: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(request.POST.get(name, ""))
    except ValueError:
        return None
