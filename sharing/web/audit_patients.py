"""Who looked at this patient: found by identity or from the patient's page, as a time line, for paper too."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from common import audit
from common.audit.search import BadCursor
from common.errors import DomainError, NotFound
from common.ui.pages import actor_of, page
from sharing.selectors import audit_trail as reads
from sharing.web.audit import shown
from sharing.web.audit_forms import IdentityForm

PRINT_LIMIT = 2_000


@require_http_methods(["GET", "HEAD", "POST"])
def patients(request: HttpRequest) -> HttpResponse:
    """``/audit/patients/``: POST finds a patient by an exact identity, which never stands in an address."""
    actor = actor_of(request)
    scope = reads.require_scope(actor)
    form = IdentityForm(request.POST if request.method == "POST" else None)
    context: dict[str, object] = {"form": form, "scope": scope}
    status = 200
    if request.method == "POST" and form.is_valid():
        identity = form.identity()
        try:
            context["found"] = reads.find_persons(scope=scope, identity=identity)
        except DomainError as error:
            context["refusal"], status = error.code, 422
        audit.record_view(
            actor,
            "audit.patient",
            object_type="person-list",
            purpose="find",
            detail={"by": identity.kinds},
        )
    response = page(request, "sharing/audit/patients.html", context)
    response.status_code = status
    return response


@require_safe
def patient(request: HttpRequest, key: str) -> HttpResponse:
    """``GET /audit/patients/{key}/``: every look at one patient, newest first."""
    actor = actor_of(request)
    scope = reads.require_scope(actor)
    person = reads.get_person(scope=scope, key=key)
    try:
        found = reads.looks_at(scope=scope, person=person, after=request.GET.get("after", ""))
    except BadCursor as error:
        raise NotFound("There is no such page.") from error
    _note(request, person.key, "look")
    context: dict[str, object] = {
        "person": reads.describe(scope=scope, person=person),
        "found": found,
        "rows": shown(found.entries),
        "scope": scope,
    }
    return page(
        request, "sharing/audit/patient.html", context, fragment="sharing/audit/_looks.html"
    )


@require_safe
def patient_sheet(request: HttpRequest, key: str) -> HttpResponse:
    """``GET /audit/patients/{key}/print/``: the same as a sheet that the patient may take along."""
    scope = reads.require_scope(actor_of(request))
    person = reads.get_person(scope=scope, key=key)
    entries = reads.all_looks_at(scope=scope, person=person, limit=PRINT_LIMIT)
    _note(request, person.key, "print")
    context: dict[str, object] = {
        "person": reads.describe(scope=scope, person=person),
        "rows": shown(entries),
        "cut": len(entries) == PRINT_LIMIT,
        "printed_at": timezone.now(),
    }
    return page(request, "sharing/audit/sheet.html", context)


def patient_panel(request: HttpRequest, subject: Any) -> dict[str, Any] | None:
    """On the patient's page: the way to who looked, for those who review."""
    if not reads.scope_of(actor_of(request)):
        return None
    return {"key": subject.person.key}


def _note(request: HttpRequest, key: str, purpose: str) -> None:
    audit.record_view(
        actor_of(request),
        "audit.patient",
        object_type="sharing.person",
        object_id=key,
        purpose=purpose,
        person_key=key,
    )
