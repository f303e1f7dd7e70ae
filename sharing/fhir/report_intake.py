"""A DiagnosticReport that a system sends, as a message that is taken in."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from common.fhir.errors import FHIRRefusal
from common.fhir.resources import Resource
from common.fhir.values import code_of_id, token
from sharing import selectors
from sharing.domain.report import ReportContent, ReportStatus
from sharing.fhir import systems
from sharing.fhir.patient import row_id
from sharing.models import ReportVersion
from sharing.services import reports

if TYPE_CHECKING:
    from common.accounts.models import User

TEXT = "text/plain;charset=utf-8"
FINDINGS = "findings"
_STATUSES = {
    "registered": ReportStatus.PRELIMINARY,
    "partial": ReportStatus.PRELIMINARY,
    "preliminary": ReportStatus.PRELIMINARY,
    "final": ReportStatus.FINAL,
    "amended": ReportStatus.AMENDED,
    "corrected": ReportStatus.AMENDED,
    "appended": ReportStatus.AMENDED,
    "cancelled": ReportStatus.CANCELLED,
    "entered-in-error": ReportStatus.ENTERED_IN_ERROR,
}
_OID = "urn:oid:"
_MOST = 100  # elements of a list that are looked at


def message(actor: User, resource: Resource) -> dict[str, Any]:
    """The arguments of ``services.reports.take_in``.

    The institution is that of the report number's system, of a performing Organization, or the sender's only one.

    Raises:
        FHIRRefusal: an element has not its form, or one that is needed is missing.
    """
    if resource.get("resourceType") != "DiagnosticReport":
        raise FHIRRefusal("The body is no DiagnosticReport.", issue="structure")
    number, code = _number(resource)
    return {
        "institution_id": reports.sending_institution(actor, code or _performing(resource)),
        "content": _content(resource),
        "source": ReportVersion.Source.FHIR,
        "report_number": number,
        "study_instance_uid": _study_uid(actor, resource),
        "accession_number": _accession(resource),
        "patient_number": _patient_number(resource),
    }


def _content(resource: Resource) -> ReportContent:
    status = _STATUSES.get(_string(resource, "status"))
    if status is None:
        raise FHIRRefusal(
            "status is none of those of a DiagnosticReport that is sent.", issue="value"
        )
    people = [
        each
        for each in _items(resource, "performer")
        if "Organization/" not in _string(each, "reference")
    ]
    return ReportContent(
        status=status,
        reported_at=_issued(resource),
        findings=_findings(resource),
        impression=_string(resource, "conclusion"),
        title=_string(_object(resource, "code"), "text"),
        author=_string(people[0], "display") if people else "",
        verifier=next(
            (_string(each, "display") for each in _items(resource, "resultsInterpreter")), ""
        ),
    )


def _issued(resource: Resource) -> datetime:
    text = _string(resource, "issued")
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise FHIRRefusal("issued is no instant.", issue="value") from error
    if at.tzinfo is None:
        raise FHIRRefusal("issued has no zone.", issue="value")
    return at.astimezone(timezone.get_default_timezone())


def _findings(resource: Resource) -> str:
    """The text that is titled so, else all plain texts."""
    texts = [
        (_string(form, "title"), _decoded(form))
        for form in _items(resource, "presentedForm")
        if _string(form, "contentType").partition(";")[0].strip().lower() == "text/plain"
    ]
    titled = [text for title, text in texts if title.lower() == FINDINGS]
    return "\n\n".join(titled or [text for _, text in texts])


def _decoded(form: Mapping[str, Any]) -> str:
    try:
        return base64.b64decode(_string(form, "data"), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise FHIRRefusal("A presentedForm is no UTF-8 text in base64.", issue="value") from error


def _number(resource: Resource) -> tuple[str, str]:
    """The sender's number and whose it is; where no identifier is one of ours, the first that is no accession."""
    others: list[str] = []
    for each in _items(resource, "identifier"):
        value = _string(each, "value")
        institution = (
            systems.institution_of_report(token(f"{_string(each, 'system')}|")) if value else None
        )
        if institution:
            return value, institution
        if value and not _is_accession(each):
            others.append(value)
    return (others[0] if others else ""), ""


def _performing(resource: Resource) -> str:
    for each in _items(resource, "performer"):
        kind, _, found = _string(each, "reference").rpartition("/")
        if kind.endswith("Organization"):
            return code_of_id(found)
    return ""


def _study_uid(actor: User, resource: Resource) -> str:
    for each in _items(resource, "imagingStudy"):
        identifier = _object(each, "identifier")
        if _string(identifier, "system") == systems.DICOM_UID:
            return _string(identifier, "value").removeprefix(_OID)
        row = row_id(_string(each, "reference").rpartition("/")[2])
        study = None if row is None else selectors.visible_studies(actor).filter(pk=row).first()
        if study is None:
            raise FHIRRefusal(
                "imagingStudy refers to no study that can be seen.", issue="not-found"
            )
        return study.study_instance_uid
    return ""


def _accession(resource: Resource) -> str:
    places = [*_items(resource, "identifier")]
    places += [_object(each, "identifier") for each in _items(resource, "basedOn")]
    places += [_object(each, "identifier") for each in _items(resource, "imagingStudy")]
    return next((_string(each, "value") for each in places if _is_accession(each)), "")


def _is_accession(identifier: Mapping[str, Any]) -> bool:
    codes = _items(_object(identifier, "type"), "coding")
    if any(_string(each, "code") == "ACSN" for each in codes):
        return True
    system = _string(identifier, "system")
    return bool(system and systems.institution_of_accession(token(f"{system}|")))


def _patient_number(resource: Resource) -> str:
    identifier = _object(_object(resource, "subject"), "identifier")
    system = _string(identifier, "system")
    ours = systems.institution_of_number(token(f"{system}|")) if system else ""
    return _string(identifier, "value") if ours is not None else ""


def _items(place: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return list(_objects(place.get(name)))[:_MOST]


def _objects(found: Any) -> Iterator[Mapping[str, Any]]:
    for each in found if isinstance(found, list) else []:
        if not isinstance(each, dict):
            raise FHIRRefusal("An element of a list is no object.", issue="structure")
        yield each


def _object(place: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = place.get(name, {})
    if not isinstance(found, dict):
        raise FHIRRefusal(f"{name} is no object.", issue="structure")
    return found


def _string(place: Mapping[str, Any], name: str) -> str:
    found = place.get(name, "")
    if not isinstance(found, str):
        raise FHIRRefusal(f"{name} is no string.", issue="structure")
    return found
