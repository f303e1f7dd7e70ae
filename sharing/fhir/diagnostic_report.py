"""DiagnosticReport: the newest version of each report within sight (R4 DiagnosticReport)."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from html import escape
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse

from common.errors import NotFound
from common.fhir.errors import FHIRRefusal
from common.fhir.resources import (
    Context,
    Created,
    Include,
    Page,
    Parameter,
    Resource,
    ResourceType,
)
from common.fhir.values import (
    NOTHING,
    clean,
    id_of_code,
    instants,
    period,
    reference_id,
    token,
)
from sharing.domain.report import Verdict
from sharing.fhir import moments, report_intake, systems
from sharing.fhir.patient import ABOUT_A_PERSON, row_id, subject
from sharing.models import ReportVersion, Study
from sharing.permissions import sight_of, visible
from sharing.selectors import patients
from sharing.selectors import reports as reads
from sharing.services import reports

_STATUS_SYSTEM = "http://hl7.org/fhir/diagnostic-report-status"
_LOINC = "http://loinc.org"
_SECTIONS = "http://terminology.hl7.org/CodeSystem/v2-0074"
_OF_PATIENT = frozenset({"identifier", "Patient"})
_PERSON = {each.name: each for each in ABOUT_A_PERSON}


def _of_study(condition: Q) -> Q:
    """A condition on studies as one on the versions of their reports."""
    return Q(report__study__in=Study.objects.filter(condition).order_by().values("pk"))


def _own_id(_: Context, value: str, __: str) -> Q:
    row = row_id(token(value).code)
    return NOTHING if row is None else Q(report_id=row)


def _identifier(_: Context, value: str, __: str) -> Q:
    """The sender's number of the report, or an accession number."""
    asked = token(value)
    found = NOTHING
    for institution, names in (
        (systems.institution_of_report(asked), ("report__number",)),
        (
            systems.institution_of_accession(asked),
            ("report__accession_number", "report__study__accession_number"),
        ),
    ):
        if institution is not None and asked.code:
            at = Q(institution__code=institution) if institution else Q()
            for name in names:
                found |= Q(**{name: asked.code}) & at
    return found


def _patient(context: Context, value: str, modifier: str) -> Q:
    if modifier == "identifier":
        return _of_study(_PERSON["identifier"].condition(context, value, ""))
    key = reference_id(value, "Patient", base=context.base)
    return _of_study(patients.of_patient(key)) if key else NOTHING


def _status(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    return Q(status=asked.code) if asked.system in (None, _STATUS_SYSTEM) else NOTHING


class DiagnosticReports(ResourceType):
    """Reports of studies that the actor may see, as they are now."""

    name = "DiagnosticReport"
    creates = True
    parameters = (
        Parameter("_id", "token", _own_id, "Resource-id"),
        Parameter(
            "identifier",
            "token",
            _identifier,
            "clinical-identifier",
            personal=True,
            documentation="The sender's number of the report, or an accession number",
        ),
        Parameter("patient", "reference", _patient, "clinical-patient", _OF_PATIENT, personal=True),
        Parameter(
            "subject", "reference", _patient, "DiagnosticReport-subject", _OF_PATIENT, personal=True
        ),
        Parameter("status", "token", _status, "DiagnosticReport-status"),
        Parameter(
            "issued",
            "date",
            lambda _, value, __: instants("reported_at", period(value)),
            "DiagnosticReport-issued",
        ),
        Parameter(
            "date",
            "date",
            lambda _, value, __: _of_study(moments.began(period(value))),
            "clinical-date",
        ),
    )
    includes = (
        Include("patient", "Patient", lambda found: _referred(found["subject"])),
        Include("subject", "Patient", lambda found: _referred(found["subject"])),
    )
    documentation = (
        "The newest version of each report. Sent by POST with the token of an integrator of the institution; the same"
        " report sent again is no further one"
    )

    def search(self, context: Context, condition: Q, *, after: str, size: int) -> Page:
        last = row_id(after)
        if after and last is None:
            raise FHIRRefusal("The link is not one of ours: search again.")
        rows = _rows(context).filter(condition)
        if last is not None:
            rows = rows.filter(report_id__lt=last)
        found = list(rows.order_by("-report_id")[: size + 1])
        page = found[:size]
        return Page(_resources(context, page), str(page[-1].report_id) if len(found) > size else "")

    def count(self, context: Context, condition: Q) -> int:
        return _rows(context).filter(condition).count()

    def read(self, context: Context, resource_id: str) -> Resource:
        row = row_id(resource_id)
        if row is None:
            raise NotFound("There is no such report.")
        found = reads.get_report(actor=context.actor, report_id=row)
        reports.note_view(context.actor, [found])
        return _resources(context, [found.current])[0]

    def load(self, context: Context, ids: Collection[str]) -> list[Resource]:
        rows = [row for each in ids if (row := row_id(each)) is not None]
        found = _rows(context).filter(report_id__in=rows).order_by("-report_id")
        return _resources(context, list(found))

    def create(self, context: Context, resource: Resource) -> Created:
        """A report, or a further version of one.

        Raises:
            FHIRRefusal: not of the form that is understood. Other refusals come as the service raises them.
        """
        receipt = reports.take_in(
            actor=context.actor, **report_intake.message(context.actor, resource)
        )
        made = str(receipt.report.pk)
        kept = _rows(context).filter(report_id=receipt.report.pk).first()
        answer = _resources(context, [kept])[0] if kept else None
        return Created(made, answer, new=receipt.verdict == Verdict.STORED)

    def note_search(self, context: Context) -> None:
        reports.note_search(context.actor)


def _referred(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [found] if "reference" in found else []


def _rows(context: Context) -> QuerySet[ReportVersion]:
    return ReportVersion.objects.filter(
        visible(sight_of(context.actor), "report__study__"),
        is_current=True,
        report__study__isnull=False,
    ).select_related("report__study__institution", "report__institution")


def _resources(context: Context, versions: Sequence[ReportVersion]) -> list[Resource]:
    studies = [each.report.study for each in versions if each.report.study]
    keys = patients.keys_of(studies)
    return [
        _resource(context, each, each.report.study, subject(each.report.study, keys))
        for each in versions
        if each.report.study
    ]


def _resource(
    context: Context, version: ReportVersion, study: Study, patient: dict[str, Any]
) -> Resource:
    code = version.report.institution.code
    title = clean(version.title)
    found: Resource = {
        "resourceType": "DiagnosticReport",
        "id": str(version.report_id),
        "meta": {"lastUpdated": version.received_at.isoformat()},
        "text": {"status": "generated", "div": _narrative(version)},
        "identifier": _identifiers(version, study),
        "status": version.status,
        "category": [{"coding": [{"system": _SECTIONS, "code": "RAD"}]}],
        "code": {
            "coding": [{"system": _LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}]
        }
        | ({"text": title} if title else {}),
        "subject": patient,
        "effectiveDateTime": moments.date_time(study.study_date, study.study_time),
        "issued": version.reported_at.isoformat(),
        "performer": [
            {
                "reference": f"Organization/{id_of_code(code)}",
                "display": version.report.institution.name,
            },
            *([{"display": clean(version.author)}] if version.author else []),
        ],
        "resultsInterpreter": [{"display": clean(version.verifier)}] if version.verifier else [],
        "imagingStudy": [{"reference": f"ImagingStudy/{study.pk}"}],
        "conclusion": version.impression,
        "presentedForm": _forms(context, version, study),
    }
    return {name: value for name, value in found.items() if value not in ("", [])}


def _identifiers(version: ReportVersion, study: Study) -> list[dict[str, Any]]:
    code = version.report.institution.code
    found: list[dict[str, Any]] = [
        {"system": systems.report_number(code), "value": version.report.number}
    ]
    if number := study.accession_number or version.report.accession_number:
        found.append(
            {
                "type": {"coding": [{"system": systems.IDENTIFIER_TYPE, "code": "ACSN"}]},
                "system": systems.accession_number(study.institution.code),
                "value": number,
            }
        )
    return found


def _forms(context: Context, version: ReportVersion, study: Study) -> list[dict[str, Any]]:
    """The findings as text, which R4 has no element for; a document of the archive by its address."""
    found: list[dict[str, Any]] = []
    if version.findings:
        data = base64.b64encode(version.findings.encode()).decode()
        form = {"contentType": report_intake.TEXT, "data": data, "title": report_intake.FINDINGS}
        found.append(form)
    if version.document_instance_uid and version.document_type == "application/pdf":
        place = [study.institution.code, study.study_instance_uid, version.document_series_uid]
        series = reverse("dicomweb:at:series", args=place)
        path = f"{series}/instances/{version.document_instance_uid}/rendered"
        found.append({"contentType": version.document_type, "url": context.absolute(path)})
    return found


def _narrative(version: ReportVersion) -> str:
    """Readable without a program that knows FHIR; whatever the report says is text in it."""
    paragraphs = "".join(
        f"<p>{escape(text).replace(chr(10), '<br/>')}</p>"
        for text in (version.title, version.impression, version.findings)
        if text
    )
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs or "<p>–</p>"}</div>'
