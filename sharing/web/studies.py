"""The list of studies: search, sort, pages, export."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from common import audit
from common.errors import DomainError, NotPermitted
from common.ui.pages import actor_of, is_fragment, page
from common.ui.templatetags.ui import masked_name, masked_number, person_name
from hospitals import selectors as hospitals
from sharing.domain.body_parts import BodyPart
from sharing.domain.quick import Kind
from sharing.models import Study
from sharing.permissions import SEE_OPERATION, SEE_OWN, Role, sight_of
from sharing.selectors import listing, portal
from sharing.selectors.reports import report_states
from sharing.services import federated
from sharing.services.portal import SAVABLE
from sharing.web.finding import persons_for
from sharing.web.forms import (
    MODALITIES,
    PERIODS,
    QUICK_KINDS,
    QUICK_WORDS,
    SEXES,
    StudySearchForm,
    search_form,
)
from sharing.web.study import viewer_installed

if TYPE_CHECKING:
    from common.accounts.models import User

EXPORT_LIMIT = 10_000
_NO_QUESTION = {"page", "order"}
MOST_HOSPITALS = 300  # of the choice; of more the code is typed
# A system reads the list through DICOMweb; a file of names is for people.
_MAY_EXPORT = (SEE_OWN | SEE_OPERATION) - {Role.INTEGRATOR}


@require_http_methods(["GET", "HEAD", "POST"])
def study_list(request: HttpRequest) -> HttpResponse:
    """``/studies/``: a form sent by POST, so that no patient ever stands in an address or a log."""
    actor = actor_of(request)
    form = search_form(request)
    valid = form.is_valid()
    search, persons = listing.StudySearch(), {"persons": None}
    if valid:
        search, persons = persons_for(actor, form, form.search())
    asked = _ask_hospitals(request, search, persons) if valid and "ask" in request.POST else {}
    found = listing.search_studies(actor=actor, search=search) if valid else None
    if found is not None:
        _note_search(request, search)
    context: dict[str, object] = {
        "form": form,
        "search": search,
        "found": found,
        "asked": form.asked() if valid else {},
        "understood": understood(form) if valid else "",
        "savable": {name: v for name, v in form.asked().items() if name in SAVABLE}
        if valid
        else {},
        "viewer_installed": viewer_installed(),
        **({} if is_fragment(request) else _choices(actor)),
        "may_search_patients": sight_of(actor).sees_something,
        "may_export": may_export(request),
        "report_states": report_states(actor, [row.study.pk for row in found.rows if row.basis])
        if found
        else {},
        **persons,
        **asked,
    }
    response = page(request, "sharing/studies.html", context, fragment="sharing/_studies.html")
    response.status_code = 200 if valid else 422
    return response


def _choices(actor: User) -> dict[str, object]:
    """What the form offers."""
    return {
        "modalities": MODALITIES,
        "states": Study.State.choices,
        "periods": PERIODS,
        "quick_kinds": QUICK_KINDS,
        "sexes": SEXES,
        "body_parts": list(BodyPart),
        "hospitals": hospitals.listed_institutions(actor=actor).order_by("name")[:MOST_HOSPITALS],
        "saved": portal.list_saved(actor=actor),
    }


def understood(form: StudySearchForm) -> object:
    """What the one field was taken for, when it was left to the system."""
    kind, text = form.what()
    left_to_us = form.cleaned_data.get("quick_kind") in ("", Kind.AUTO)
    return QUICK_WORDS[kind] if text and left_to_us else ""


def _ask_hospitals(
    request: HttpRequest, search: listing.StudySearch, persons: dict[str, Any]
) -> dict[str, object]:
    """Ask the hospitals that this reader may see; the list is then read from the index as always.

    Of persons that were found each hospital is asked for the numbers that it gave: it knows no others.
    """
    numbers = [
        (patient.institution.code, patient.number)
        for found in persons["persons"] or []
        for patient in found.row.patients
        if patient.number
    ]
    question = federated.question_of(search)
    if search.person_ids is not None:
        question = federated.question_of_numbers(numbers)
    try:
        coverage = federated.ask(
            actor=actor_of(request),
            question=question,
            institution_code=search.institution_code,
        )
    except DomainError as error:
        return {"not_asked": error.code}
    return {"coverage": coverage}


def _note_search(request: HttpRequest, search: listing.StudySearch) -> None:
    """Into the audit: that a list of patients was read. What for is patient data and stays out."""
    audit.record_view(
        actor_of(request),
        "study.search",
        object_type="study-list",
        object_id=search.institution_code,
        purpose="patient" if search.about_a_patient else "list",
        detail={"by": _asked_by(search)},
    )


def _asked_by(search: listing.StudySearch) -> list[str]:
    """Which fields were filled in: the audit may know the kind of question."""
    return [name for name, value in vars(search).items() if value and name not in _NO_QUESTION]


@require_POST
def export(request: HttpRequest) -> HttpResponseBase:
    """``POST /studies/export.csv``: the answer to the search as a table for a spreadsheet."""
    if not may_export(request):
        raise NotPermitted(_("Your roles do not allow the export."))
    form = search_form(request)
    if not form.is_valid():
        return HttpResponse(
            _first_error(form), status=400, content_type="text/plain; charset=utf-8"
        )
    actor, search = actor_of(request), form.search()
    count = listing.count_studies(actor=actor, search=search, limit=EXPORT_LIMIT)
    # How much was taken away and of whom, not what was asked for: that is patient data.
    audit.record(
        actor,
        "study.export",
        object_type="study-list",
        object_id=search.institution_code,
        purpose="patient" if search.about_a_patient else "list",
        detail={"rows": count, "limit": EXPORT_LIMIT, "by": _asked_by(search)},
    )
    rows = listing.export_studies(actor=actor, search=search, limit=EXPORT_LIMIT)
    response = StreamingHttpResponse(_csv(rows), content_type="text/csv; charset=utf-8")
    day = timezone.localdate().isoformat()
    response.headers["Content-Disposition"] = f'attachment; filename="studies-{day}.csv"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def may_list(request: HttpRequest) -> bool:
    """Whether the navigation shows the list."""
    return listing.may_list(actor_of(request))


def may_export(request: HttpRequest) -> bool:
    """Whether the reader may take the list away as a file."""
    held = {membership.role for membership in hospitals.memberships_of(request.user)}
    return request.user.is_superuser or bool(held & _MAY_EXPORT)


class _Line:
    """A file for csv.writer that hands each line on."""

    def write(self, line: str) -> str:
        return line


def _csv(rows: Iterator[listing.StudyRow]) -> Iterator[str]:
    writer = csv.writer(_Line())
    heading = [
        _("Patient name"), _("Patient ID"), _("Sex"), _("Born"), _("Study date"), _("Modality"),
        _("Description"), _("Accession number"), _("Hospital"), _("State"), _("Series"),
        _("Instances"), _("Bytes"), "Study Instance UID",
    ]  # fmt: skip
    yield "\ufeff"  # spreadsheets take the file for UTF-8 only with it
    yield writer.writerow(heading)
    for row in rows:
        yield writer.writerow([_cell(value) for value in _values(row)])


def _values(row: listing.StudyRow) -> list[object]:
    study = row.study
    seen = row.basis is not None
    return [
        person_name(study.patient_name) if seen else masked_name(study.patient_name),
        study.patient_id if seen else masked_number(study.patient_id),
        study.patient_sex if seen else "",
        study.patient_birth_date if seen else "",
        study.study_date or "",
        " ".join(study.modalities),
        study.study_description if seen else "",
        study.accession_number if seen else masked_number(study.accession_number),
        study.institution.name,
        study.get_state_display(),
        study.series_count,
        study.instance_count,
        study.size_bytes,
        study.study_instance_uid,
    ]


def _cell(value: object) -> str:
    """A value that no spreadsheet takes for a formula."""
    text = str(value if value is not None else "")
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _first_error(form: StudySearchForm) -> str:
    return next(str(error) for errors in form.errors.values() for error in errors)
