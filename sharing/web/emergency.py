"""Emergency access (break-glass): asked for with a reason, open for four hours, ended early, seen by a reviewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from common.errors import NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import words
from sharing.domain import access_terms
from sharing.errors import ReasonTooShort
from sharing.permissions import sight_of, sits_at, treats_at
from sharing.selectors import access as reads
from sharing.selectors import codes, persons
from sharing.services import emergency as services

if TYPE_CHECKING:
    from sharing.selectors.timeline import PatientPage


@require_http_methods(["GET", "HEAD", "POST"])
def emergency(request: HttpRequest, key: str) -> HttpResponse:
    """``/emergency/{person key}/``: what it opens and what it leads to; POST with a reason opens."""
    actor = actor_of(request)
    places = treats_at(actor)
    if not places:
        raise NotPermitted(_("Emergency access is for those who treat patients."))
    person = persons.get_person(actor=actor, key=key)
    reason, refusal = request.POST.get("reason", ""), ""
    if request.method == "POST":
        code = request.POST.get("at", "")[:64]
        place = reads.place_of(actor, code, among=places) if code else None
        try:
            services.break_glass(actor=actor, person=person, reason=reason, institution_id=place)
            messages.success(
                request, _("Open for four hours. The patient and the data office are told.")
            )
            return redirect("sharing:patient", person.key)
        except ReasonTooShort as error:
            refusal = str(words(error.code).what)
    row = persons.get_person_row(actor=actor, person=person)
    context: dict[str, object] = {
        "person": person,
        "row": row,
        "best": row.patient,
        "open": reads.own_emergencies(actor=actor).filter(person=person).first(),
        "places": [codes.entry(each) for each in sorted(places)],
        "reason": reason,
        "refusal": refusal,
        "least": access_terms.REASON_LEAST,
        "most": access_terms.REASON_MOST,
    }
    response = page(request, "sharing/emergency.html", context)
    response.status_code = 422 if refusal else 200
    return response


@require_POST
def end(request: HttpRequest, access_id: int) -> HttpResponse:
    """``POST /emergency/{id}/end``: before its time, by who opened it."""
    actor = actor_of(request)
    access = reads.get_own_emergency(actor=actor, access_id=access_id)
    services.end_emergency(actor=actor, access=access)
    messages.success(request, _("The emergency access is ended."))
    return redirect("sharing:home")


def home_context(request: HttpRequest, _subject: Any) -> dict[str, Any] | None:
    """The start page shows what this account opened in an emergency and did not end."""
    actor = actor_of(request)
    if not treats_at(actor):
        return None
    found = list(reads.own_emergencies(actor=actor)[:20])
    return {"emergencies": found} if found else None


def patient_context(request: HttpRequest, subject: PatientPage) -> dict[str, Any] | None:
    """The patient's page says by which right it is open, or which ways there are to open it."""
    actor = actor_of(request)
    if not (treats_at(actor) or sits_at(actor)):
        return None
    person = subject.person
    return {
        "person": person,
        "basis": sight_of(actor).basis_of_person(person.pk),
        "emergency": reads.own_emergencies(actor=actor).filter(person=person).first(),
        "treats": bool(treats_at(actor)),
        "sits": bool(sits_at(actor)),
    }
