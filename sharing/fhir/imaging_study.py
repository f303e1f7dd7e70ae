"""ImagingStudy: one study as one institution holds it (R4 ImagingStudy)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import Exists, F, OuterRef, Prefetch, Q

from common.dicom.uids import is_valid_uid
from common.errors import NotFound
from common.fhir.errors import FHIRRefusal
from common.fhir.resources import Context, Include, Page, Parameter, Resource, ResourceType
from common.fhir.values import (
    NOTHING,
    clean,
    id_of_code,
    period,
    reference_code,
    reference_id,
    token,
)
from sharing import selectors
from sharing.fhir import moments, systems, trail
from sharing.fhir.patient import ABOUT_A_PERSON, row_id, subject
from sharing.fhir.series import MAX_INSTANCES, series_element
from sharing.models import Series, Study
from sharing.selectors import patients

_NEWEST = (F("study_date").desc(nulls_last=True), F("id").desc())
_STATUS_SYSTEM = "http://hl7.org/fhir/imagingstudy-status"
_HERE = Q(instance_count__gt=0)
# What is archived is here: the index of the unfinished finds the rest.
_STATUSES = {"available": _HERE, "registered": ~_HERE & ~Q(state=Study.State.ARCHIVED)}
_OID = "urn:oid:"


def _own_id(_: Context, value: str, __: str) -> Q:
    row = row_id(token(value).code)
    return NOTHING if row is None else Q(pk=row)


def _identifier(_: Context, value: str, __: str) -> Q:
    """Study Instance UID as ``urn:oid:``, or an accession number."""
    asked = token(value)
    uid = asked.code.removeprefix(_OID)
    if asked.system == systems.DICOM_UID or (asked.system is None and uid != asked.code):
        return Q(study_instance_uid=uid)
    institution = systems.institution_of_accession(asked)
    if institution is None:
        return NOTHING
    condition = Q(accession_number=asked.code) if asked.code else ~Q(accession_number="")
    return condition & Q(institution__code=institution) if institution else condition


def _patient(context: Context, value: str, modifier: str) -> Q:
    if modifier == "identifier":
        return _PERSON["identifier"].condition(context, value, "")
    return patients.of_patient(reference_id(value, "Patient", base=context.base))


def _modality(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system not in (None, systems.DCM) or not asked.code:
        return NOTHING
    return Q(modalities__contains=[asked.code.upper()])


def _series(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    uid = asked.code.removeprefix(_OID)
    if asked.system not in (None, systems.DICOM_UID) or not is_valid_uid(uid):
        return NOTHING
    return Q(Exists(Series.objects.filter(study_id=OuterRef("pk"), series_instance_uid=uid)))


def _status(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system not in (None, _STATUS_SYSTEM):
        return NOTHING
    return _STATUSES.get(asked.code, NOTHING)


def _endpoint(context: Context, value: str, _: str) -> Q:
    return Q(institution__code=reference_code(value, "Endpoint", base=context.base))


_PERSON = {each.name: each for each in ABOUT_A_PERSON}
_CHAINED = {
    f"{reference}.{each.name}": each
    for reference in ("patient", "subject")
    for each in ABOUT_A_PERSON
}
_OF_PATIENT = frozenset({"identifier", "Patient"})


def _referred(subject: dict[str, Any]) -> list[dict[str, Any]]:
    return [subject] if "reference" in subject else []


class ImagingStudies(ResourceType):
    """Studies that the actor may see; one that two institutions hold is two resources."""

    name = "ImagingStudy"
    parameters = (
        Parameter("_id", "token", _own_id, "Resource-id"),
        Parameter(
            "identifier",
            "token",
            _identifier,
            "clinical-identifier",
            personal=True,
            documentation="Study Instance UID as urn:dicom:uid|urn:oid:…, or accession number",
        ),
        Parameter("patient", "reference", _patient, "clinical-patient", _OF_PATIENT, personal=True),
        Parameter(
            "subject", "reference", _patient, "ImagingStudy-subject", _OF_PATIENT, personal=True
        ),
        Parameter(
            "started",
            "date",
            lambda _, value, __: moments.began(period(value)),
            "ImagingStudy-started",
        ),
        Parameter("modality", "token", _modality, "ImagingStudy-modality"),
        Parameter("series", "token", _series, "ImagingStudy-series"),
        Parameter("status", "token", _status, "ImagingStudy-status"),
        Parameter("endpoint", "reference", _endpoint, "ImagingStudy-endpoint"),
    )
    # Every row of the index says whose it is, so a search over the patient is one over the row.
    chained = _CHAINED
    includes = (
        Include("patient", "Patient", lambda found: _referred(found["subject"])),
        Include("subject", "Patient", lambda found: _referred(found["subject"])),
        Include("endpoint", "Endpoint", lambda found: found["endpoint"]),
    )
    documentation = (
        "One per institution that holds the study. Instances are listed in a read, up to"
        f" {MAX_INSTANCES}; a search has none"
    )

    def search(self, context: Context, condition: Q, *, after: str, size: int) -> Page:
        rows = _with_series(selectors.visible_studies(context.actor).filter(condition))
        found: list[Study] = []
        for stretch in _beyond(context, after):
            found += rows.filter(stretch).order_by(*_NEWEST)[: size + 1 - len(found)]
            if len(found) > size:
                break
        page = found[:size]
        following = str(page[-1].pk) if len(found) > size else ""
        return Page(_resources(page), following)

    def count(self, context: Context, condition: Q) -> int:
        return selectors.visible_studies(context.actor).filter(condition).count()

    def read(self, context: Context, resource_id: str) -> Resource:
        row = row_id(resource_id)
        rows = _with_series(selectors.visible_studies(context.actor))
        study = None if row is None else rows.filter(pk=row).first()
        if study is None:
            raise NotFound("There is no such study.")
        trail.record_study(context.actor, study)
        return _resources([study], with_instances=True)[0]

    def load(self, context: Context, ids: Collection[str]) -> list[Resource]:
        rows = [row for each in ids if (row := row_id(each)) is not None]
        found = _with_series(selectors.visible_studies(context.actor).filter(pk__in=rows))
        return _resources(list(found.order_by(*_NEWEST)))

    def note_search(self, context: Context) -> None:
        trail.record_search(context.actor, kind="study")


def _with_series(rows: Any) -> Any:
    order = (F("series_number").asc(nulls_last=True), "id")
    series = Series.objects.select_related("current").order_by(*order)
    return rows.select_related("institution").prefetch_related(Prefetch("series", series))


def _beyond(context: Context, after: str) -> list[Q]:
    """Studies behind this one in the order of pages, which stays put when newer ones come.

    In one stretch or two, each of which begins at its place of the index by date.
    """
    if not after:
        return [Q()]
    row = row_id(after)
    last = selectors.visible_studies(context.actor).filter(pk=row).first() if row else None
    if last is None:
        raise FHIRRefusal("The search has to be made again.", status=410, issue="expired")
    if last.study_date is None:
        return [Q(study_date__isnull=True, id__lt=last.pk)]
    behind = Q(study_date__lt=last.study_date) | Q(id__lt=last.pk)
    return [Q(study_date__lte=last.study_date) & behind, Q(study_date__isnull=True)]


def _resources(studies: Sequence[Study], *, with_instances: bool = False) -> list[Resource]:
    keys = patients.keys_of(studies)
    return [_resource(each, subject(each, keys), with_instances) for each in studies]


def _resource(study: Study, patient: dict[str, Any], with_instances: bool) -> Resource:
    institution = study.institution
    codes = sorted(filter(None, {clean(each) for each in study.modalities}))
    found: Resource = {
        "resourceType": "ImagingStudy",
        "id": str(study.pk),
        "identifier": _identifiers(study),
        "status": "available" if study.instance_count else "registered",
        "modality": [{"system": systems.DCM, "code": each} for each in codes],
        "subject": patient,
        "started": moments.date_time(study.study_date, study.study_time),
        "endpoint": [{"reference": f"Endpoint/{id_of_code(institution.code)}"}],
        "numberOfSeries": study.series_count,
        "numberOfInstances": study.instance_count or study.listed_instances or 0,
        "description": clean(study.study_description),
        "series": _series_elements(study, with_instances),
    }
    return {name: value for name, value in found.items() if value not in ("", [])}


def _identifiers(study: Study) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"system": systems.DICOM_UID, "value": f"{_OID}{study.study_instance_uid}"}
    ]
    if study.accession_number:
        found.append(
            {
                "type": {"coding": [{"system": systems.IDENTIFIER_TYPE, "code": "ACSN"}]},
                "system": systems.accession_number(study.institution.code),
                "value": study.accession_number,
            }
        )
    return found


def _series_elements(study: Study, with_instances: bool) -> list[dict[str, Any]]:
    """With instances as long as there are not too many in all: a list is whole or absent."""
    left = MAX_INSTANCES if with_instances else 0
    elements = []
    for series in study.series.all():
        element = series_element(series, most=left)
        left -= len(element.get("instance", ()))
        elements.append(element)
    return elements
