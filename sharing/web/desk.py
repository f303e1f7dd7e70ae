"""The desk: who is treated here and what patients allowed. Numbers and names come by POST, never in an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from common import audit
from common.errors import DomainError, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import in_words
from sharing.models import Encounter, LocalPatient
from sharing.permissions import sits_at
from sharing.selectors import access as reads
from sharing.selectors import codes, persons
from sharing.services import consents, encounters
from sharing.services.patients import register_patient
from sharing.web.desk_forms import ConsentForm, DeskForm, EncounterForm, SearchForm

PAGE = 20


def may_sit(request: HttpRequest) -> bool:
    """Whether the navigation shows the desk."""
    return request.user.is_authenticated and bool(sits_at(actor_of(request)))


@require_http_methods(["GET", "HEAD", "POST"])
def desk(request: HttpRequest) -> HttpResponse:
    """``/desk/``: forms and both lists; POST searches them. ``person`` names whose number is filled in."""
    place = _place(request)
    return _desk(request, place, search=SearchForm(request.POST or None))


@require_POST
def open_encounter(request: HttpRequest) -> HttpResponse:
    """``POST /desk/encounters``: register the patient and open the encounter."""
    place = _place(request)
    form = EncounterForm(request.POST)

    def act() -> None:
        actor, given = actor_of(request), form.cleaned_data
        with transaction.atomic():
            patient = register_patient(
                actor=actor, institution_id=place, number=given["number"], facts=form.facts()
            )
            encounters.register_encounter(
                actor=actor,
                institution_id=place,
                patient=patient,
                visit_number=given["visit_number"],
                kind=given["kind"],
                opened_at=timezone.now(),
                department=given["department"],
                attending=given["attending"],
                source=Encounter.Source.DESK,
            )
        messages.success(
            request,
            _("The encounter is open: the patient's examinations can be seen here from now on."),
        )

    return _done(request, place, form, act, encounter_form=form)


@require_POST
def close_encounter(request: HttpRequest, encounter_id: int) -> HttpResponse:
    """``POST /desk/encounters/{id}/close``."""
    actor = actor_of(request)
    _place(request)
    found = reads.get_encounter(actor=actor, encounter_id=encounter_id)
    encounters.close_encounter(actor=actor, encounter=found)
    messages.success(request, _("The encounter is closed: it opens nothing any more."))
    return redirect(_address(found.institution_id))


@require_POST
def give_consent(request: HttpRequest) -> HttpResponse:
    """``POST /desk/consents``: note what a patient of this institution allows its readers."""
    place = _place(request)
    form = ConsentForm(request.POST, hospitals=_hospitals())

    def act() -> None:
        consents.give_consent(
            actor=actor_of(request),
            patient=reads.find_patient(institution_id=place, number=form.cleaned_data["number"]),
            institution_id=place,
            given=form.cleaned_data["given"],
            scope=form.scope(),
            expires_at=form.expires_at(),
        )
        messages.success(request, _("The consent is noted and holds from now on."))

    return _done(request, place, form, act, consent_form=form)


@require_POST
def withdraw_consent(request: HttpRequest, consent_id: int) -> HttpResponse:
    """``POST /desk/consents/{id}/withdraw``: the patient takes it back."""
    actor = actor_of(request)
    place = _place(request)
    found = reads.get_consent(actor=actor, consent_id=consent_id)
    consents.withdraw_consent(actor=actor, consent=found)
    messages.success(request, _("The consent is withdrawn: it opens nothing any more."))
    return redirect(_address(place))


def _place(request: HttpRequest) -> int:
    """The institution whose desk this is: the one that is named by ``at``, else the first."""
    places = sits_at(actor_of(request))
    if not places:
        raise NotPermitted(_("Your roles do not allow this."))
    code = (request.POST.get("at") or request.GET.get("at") or "")[:64]
    return reads.place_of(actor_of(request), code, among=places) if code else min(places)


def _address(place: int) -> str:
    return f"{reverse('sharing:desk')}?at={codes.entry(place).code}"


def _done(
    request: HttpRequest, place: int, form: DeskForm, act: Callable[[], None], **shown: DeskForm
) -> HttpResponse:
    """Do it and show the desk anew, or the form again with what is wrong."""
    refusal = ""
    if form.is_valid():
        try:
            act()
            return redirect(_address(place))
        except NotPermitted:
            raise
        except DomainError as error:
            refusal = in_words(error)
    response = _desk(request, place, search=SearchForm(), refusal=refusal, **shown)
    response.status_code = 422
    return response


def _desk(
    request: HttpRequest,
    place: int,
    *,
    search: SearchForm,
    refusal: str = "",
    encounter_form: DeskForm | None = None,
    consent_form: DeskForm | None = None,
) -> HttpResponse:
    actor = actor_of(request)
    asked = search.cleaned_data if search.is_bound and search.is_valid() else {}
    text = asked.get("q", "")
    initial = {"number": _number(request, place)}
    given: dict[str, Any] = {"actor": actor, "institution_id": place, "text": text}
    opened = Paginator(reads.list_encounters(**given, only_open=True), PAGE)
    allowed = Paginator(reads.list_consents(**given, only_in_force=True), PAGE)
    audit.record_view(
        actor,
        "desk.search" if text else "desk.list",
        object_type="sharing.encounter",
        institution_id=place,
        purpose="registration",
    )
    context: dict[str, object] = {
        "at": codes.entry(place),
        "places": [codes.entry(each) for each in sorted(sits_at(actor))],
        "q": text,
        "opened": opened.get_page(asked.get("encounters") or 1),
        "allowed": [
            (each, [codes.entry(pk).name for pk in each.held_by])
            for each in allowed.get_page(asked.get("consents") or 1)
        ],
        "allowed_page": allowed.get_page(asked.get("consents") or 1),
        "encounter_form": encounter_form or EncounterForm(initial=initial),
        "consent_form": consent_form
        or ConsentForm(initial=initial | {"days": "90"}, hospitals=_hospitals()),
        "wrong": "encounter" if encounter_form else "consent" if consent_form else "",
        "refusal": refusal,
    }
    return page(request, "sharing/desk.html", context, fragment="sharing/_desk_lists.html")


def _number(request: HttpRequest, place: int) -> str:
    """The number here of the person that the address names by its opaque key; empty where there is none."""
    key = request.GET.get("person", "")[:16]
    person = persons.resolve(key) if key else None
    if person is None or not persons.may_know(actor_of(request), person):
        return ""
    found = LocalPatient.objects.filter(institution_id=place, person=person).order_by("pk").first()
    return found.number if found is not None else ""


def _hospitals() -> list[tuple[str, str]]:
    return [(str(pk), each.name) for pk, each in sorted(codes.entries().items())]
