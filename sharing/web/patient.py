"""One patient's page: all examinations over all hospitals that this reader may see (DESIGN section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common import audit
from common.errors import DomainError, NotFound
from common.ui.pages import actor_of, page
from hospitals import selectors as hospitals
from sharing.domain.identities import IdentityField
from sharing.selectors import persons, timeline
from sharing.selectors.identities import masked_identity
from sharing.selectors.reports import report_states
from sharing.services import federated, portal
from sharing.services.patients import unmask as unmask_field
from sharing.web.study import viewer_installed

if TYPE_CHECKING:
    from common.accounts.models import User

COMPARED_AT_ONCE = 2


@require_http_methods(["GET", "HEAD", "POST"])
def patient(request: HttpRequest, key: str) -> HttpResponse:
    """``/patients/{key}/``: the time line; POST asks the hospitals that know the patient, at this moment."""
    actor = actor_of(request)
    person = persons.get_person(actor=actor, key=key)
    if person.key != key:  # joined with another since the address was made
        return redirect("sharing:patient", person.key)
    asked = _ask(actor, person.pk) if request.method == "POST" else {}
    found = timeline.patient_page(actor=actor, person=person, narrowing=_narrowing(request))
    audit.record_view(
        actor,
        "patient.view",
        person,
        basis=_bases(found),
        purpose="timeline" if found.rows else "existence",
        person_key=person.key,
    )
    context: dict[str, object] = {
        "patient": found,
        "shown": found.shown,
        "reports": report_states(actor, [row.study.pk for row in found.shown]),
        "viewer_installed": viewer_installed(),
        **asked,
    }
    if not request.headers.get("HX-Request"):
        portal.note_recent(actor=actor, person=person)
        context |= _who(actor, found)
    return page(request, "sharing/patient.html", context, fragment="sharing/_timeline.html")


@require_POST
def unmask(request: HttpRequest, patient_id: int) -> HttpResponse:
    """``POST /patients/numbers/{id}/unmask``: one identity in full, for a reason that is kept (policy P5)."""
    actor = actor_of(request)
    found, _basis = persons.get_patient_in_sight(actor=actor, patient_id=patient_id)
    field = request.POST.get("field", "")
    if field not in set(IdentityField):
        raise NotFound("There is no such identity.")
    context: dict[str, object] = {"one": found, "identity": masked_identity(found), "field": field}
    try:
        context["value"] = unmask_field(
            actor=actor, patient=found, field=field, reason=request.POST.get("reason", "")
        )
    except DomainError as error:
        context["refusal"] = error.code
    return page(request, "sharing/unmasked.html", context, fragment="sharing/_unmasked.html")


@require_safe
def compare(request: HttpRequest, key: str) -> HttpResponse:
    """``GET /patients/{key}/compare/?study={code}/{uid}``, twice: the two side by side in the viewer."""
    actor = actor_of(request)
    person = persons.get_person(actor=actor, key=key)
    known = {
        f"{row.study.institution.code}/{row.study.study_instance_uid}": row.study
        for row in timeline.patient_page(actor=actor, person=person).rows
    }
    chosen = [known[each] for each in dict.fromkeys(request.GET.getlist("study")) if each in known]
    if len(chosen) != COMPARED_AT_ONCE:
        messages.error(request, _("Tick two examinations of this patient to compare them."))
        return redirect("sharing:patient", key)
    newer, older = chosen
    there = reverse("sharing:open", args=[newer.institution.code, newer.study_instance_uid])
    if not viewer_installed():
        return redirect(there)
    return redirect(f"{there}?beside={older.study_instance_uid}")


@require_POST
def clear_recent(request: HttpRequest) -> HttpResponse:
    """``POST /patients/recent/clear``: forget whom this reader looked at last; the audit keeps it."""
    portal.clear_recent(actor=actor_of(request))
    messages.success(request, _("The list of recent patients is empty now."))
    return redirect("sharing:home")


def _who(actor: User, found: timeline.PatientPage) -> dict[str, object]:
    """Who the patient is as far as this reader may know, and what there is that may not be seen."""
    row = persons.get_person_row(actor=actor, person=found.person)
    local = persons.person_patients(actor=actor, person=found.person)
    return {
        "row": row,
        "best": row.patient,
        "hidden_at": sorted(hospitals.institution_names(row.institution_ids).values()),
        "local": [(each, masked_identity(each)) for each in local],
        "history": timeline.link_history(patients=local) if len(local) > 1 else [],
    }


def _bases(found: timeline.PatientPage) -> str:
    """Bases of the rows that are shown, each once, as they go into the audit."""
    return ",".join(dict.fromkeys(row.basis.value for row in found.rows))[:64]


def _narrowing(request: HttpRequest) -> timeline.Narrowing:
    return timeline.Narrowing(
        modality=request.GET.get("modality", "")[:16],
        body_part=request.GET.get("part", "")[:16],
        institution_code=request.GET.get("hospital", "")[:64],
    )


def _ask(actor: User, person_id: int) -> dict[str, object]:
    """Ask every hospital that gave this patient a number; what is new is in the time line afterwards."""
    numbers = timeline.numbers_of(person_id)
    try:
        question = federated.question_of_numbers(numbers)
        coverage = federated.ask(actor=actor, question=question, person_id=person_id)
    except DomainError as error:
        return {"not_asked": error.code}
    return {"coverage": coverage}
