"""What an institution's administrator keeps: where its archive answers, and its departments."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from common.accounts.models import User
from common.errors import DomainError, NotFound, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import in_words, words
from hospitals import permissions, selectors, services
from hospitals.models import Department, Institution, Probe
from hospitals.selectors.departments import ADVISERS
from hospitals.web.forms import CHARACTER_SETS, SECRETS, EndpointForm, endpoint_values


def may_keep_endpoint(request: HttpRequest, institution_id: int) -> bool:
    """Whether the tabs show the endpoint."""
    return permissions.may_keep_endpoint(actor_of(request), institution_id=institution_id)


def may_keep_departments(request: HttpRequest, institution_id: int) -> bool:
    """Whether the tabs show the departments."""
    return permissions.may_keep_departments(actor_of(request), institution_id=institution_id)


@method_decorator(sensitive_post_parameters(), name="dispatch")
class EndpointPage(View):
    """``/hospitals/{code}/endpoint/``: set it, have it probed at once, and see what it can do."""

    http_method_names = ["get", "head", "post"]

    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        institution = self._kept(request, code)
        return self._page(request, code, endpoint_values(getattr(institution, "endpoint", None)))

    def post(self, request: HttpRequest, code: str) -> HttpResponse:
        institution = self._kept(request, code)
        form = EndpointForm(request.POST)
        faults = dict(form.errors.items())
        if form.is_valid():
            try:
                services.set_endpoint(
                    actor=actor_of(request), institution=institution, endpoint=form.settings()
                )
            except (NotFound, NotPermitted):
                raise
            except DomainError as error:
                return self._page(request, code, request.POST, refusal=error.message)
            self._probe(request, code)
            return redirect("hospitals:endpoint", code=code)
        return self._page(request, code, request.POST, faults=faults)

    def _kept(self, request: HttpRequest, code: str) -> Institution:
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        permissions.require(may_keep_endpoint(request, institution.pk))
        return institution

    def _probe(self, request: HttpRequest, code: str) -> None:
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        try:
            probe: Probe = services.probe(actor=actor_of(request), institution=institution)
        except DomainError as error:
            messages.warning(
                request, _("Saved, but not probed: %(why)s") % {"why": in_words(error)}
            )
            return
        if probe.reachable:
            messages.success(request, _("Saved and probed: the archive answers."))
        else:
            why = str(words(probe.error_code).what)
            messages.error(request, _("Saved, but: %(why)s") % {"why": why})

    def _page(
        self,
        request: HttpRequest,
        code: str,
        values: object,
        *,
        refusal: str = "",
        faults: Mapping[str, object] | None = None,
    ) -> HttpResponse:
        row = selectors.get_health(actor=request.user, code=code)
        context: dict[str, object] = {
            "row": row,
            "shows_line": True,
            "values": values,
            "auths": EndpointForm.base_fields["auth"].choices,  # type: ignore[attr-defined]
            "secrets": SECRETS,
            "character_sets": CHARACTER_SETS,
            "names_folders": permissions.may_administer(actor_of(request)),
            "refusal": refusal,
            "faults": faults or {},
        }
        response = page(request, "hospitals/endpoint.html", context)
        response.status_code = 422 if refusal or faults else 200
        return response


@require_safe
def departments(request: HttpRequest, code: str) -> HttpResponse:
    """``GET /hospitals/{code}/departments/``: which there are, and who is in them."""
    institution = _kept(request, code)
    people = {
        held.user_id: held.user
        for held in selectors.list_memberships(institution_id=institution.pk)
        if held.role in ADVISERS and held.user.is_active
    }
    context: dict[str, object] = {
        "row": selectors.get_health(actor=request.user, code=code),
        "departments": selectors.list_departments(institution_id=institution.pk),
        "people": sorted(people.values(), key=str),
    }
    return page(request, "hospitals/departments.html", context)


@require_POST
def department_add(request: HttpRequest, code: str) -> HttpResponse:
    """``POST …/departments/add``."""
    institution = _kept(request, code)
    try:
        services.add_department(
            actor=actor_of(request), institution=institution, name=request.POST.get("name", "")
        )
        messages.success(request, _("Added. Now say who is in it."))
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("hospitals:departments", code=code)


@require_POST
def department_change(request: HttpRequest, department_id: int) -> HttpResponse:
    """``POST /hospitals/-/departments/{id}/``: ``do`` is rename, close, join or leave."""
    actor = actor_of(request)
    row = selectors.get_department(actor=actor, department_id=department_id)
    try:
        messages.success(request, _changed(request, actor, row))
    except (NotFound, NotPermitted):
        raise
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("hospitals:departments", code=row.institution.code)


def _changed(request: HttpRequest, actor: User, row: Department) -> str:
    verb = request.POST.get("do", "")
    if verb == "rename":
        services.rename_department(actor=actor, department=row, name=request.POST.get("name", ""))
        return _("Renamed.")
    if verb == "close":
        services.close_department(actor=actor, department=row)
        return _("Closed: nobody asks this department any more.")
    user = _person(request)
    if verb == "join":
        services.join_department(actor=actor, department=row, user=user)
        return _("Added to the department.")
    services.leave_department(actor=actor, department=row, user_id=user.pk)
    return _("Taken out of the department.")


def _person(request: HttpRequest) -> User:
    text = request.POST.get("user", "")
    found = User.objects.filter(pk=int(text)).first() if text.isascii() and text.isdigit() else None
    if found is None:
        raise NotFound(_("There is no such person."))
    return found


def _kept(request: HttpRequest, code: str) -> Institution:
    institution = selectors.get_visible_institution(actor=request.user, code=code)
    permissions.require(may_keep_departments(request, institution.pk))
    return institution
