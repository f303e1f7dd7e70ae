"""Patient: one number of one institution, until persons are linked (R4 Patient)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from django.db.models import Q

from common.errors import NotFound
from common.fhir.errors import FHIRRefusal
from common.fhir.resources import Context, Include, Page, Parameter, Resource, ResourceType
from common.fhir.values import NOTHING, days, id_of_code, period, reference_code, token
from sharing.fhir import names, systems, trail
from sharing.selectors import patients
from sharing.selectors.patients import Patient

_GENDERS = {"M": "male", "F": "female", "O": "other"}
_MODIFIERS = frozenset({"exact"})
_GENDER_SYSTEM = "http://hl7.org/fhir/administrative-gender"
_ROW = re.compile(r"[1-9][0-9]{0,17}")


def row_id(resource_id: str) -> int | None:
    """The row that an id of ours names; None for any other text."""
    return int(resource_id) if _ROW.fullmatch(resource_id) else None


def number_identifier(institution_code: str, number: str) -> dict[str, Any]:
    """The patient number as an institution gave it."""
    return {
        "use": "usual",
        "type": {"coding": [{"system": systems.IDENTIFIER_TYPE, "code": "MR"}]},
        "system": systems.patient_number(institution_code),
        "value": number,
    }


def _identifier(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    institution = systems.institution_of_number(asked)
    if institution is None:
        return NOTHING
    condition = Q(patient_id=asked.code) if asked.code else ~Q(patient_id="")
    return condition & Q(institution__code=institution) if institution else condition


def _gender(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system not in (None, _GENDER_SYSTEM):
        return NOTHING
    if asked.code == "unknown":
        return ~Q(patient_sex__in=["", *_GENDERS])
    return Q(patient_sex__in=[sex for sex, gender in _GENDERS.items() if gender == asked.code])


def _organization(context: Context, value: str, _: str) -> Q:
    return Q(institution__code=reference_code(value, "Organization", base=context.base))


def _own_id(context: Context, value: str, _: str) -> Q:
    row = row_id(token(value).code)
    return NOTHING if row is None else patients.of_patient(actor=context.actor, patient_id=row)


def _named(condition: Callable[[str, str], Q]) -> Callable[[Context, str, str], Q]:
    return lambda _, value, modifier: condition(value, modifier)


ABOUT_A_PERSON: tuple[Parameter, ...] = (
    Parameter("identifier", "token", _identifier, "Patient-identifier", personal=True),
    Parameter(
        "name",
        "string",
        _named(names.name_condition),
        "Patient-name",
        modifiers=_MODIFIERS,
        personal=True,
        documentation="Beginnings of words: Han characters, pinyin, initials, Latin letters",
    ),
    Parameter(
        "family",
        "string",
        _named(names.family_condition),
        "individual-family",
        modifiers=_MODIFIERS,
        personal=True,
    ),
    Parameter(
        "given",
        "string",
        _named(names.given_condition),
        "individual-given",
        modifiers=_MODIFIERS,
        personal=True,
    ),
    Parameter(
        "birthdate",
        "date",
        lambda _, value, __: days("patient_birth_date", period(value)),
        "individual-birthdate",
        personal=True,
    ),
    Parameter("gender", "token", _gender, "individual-gender", personal=True),
)


class Patients(ResourceType):
    """Patients of whom the actor may see a study."""

    name = "Patient"
    parameters = (
        Parameter("_id", "token", _own_id, "Resource-id"),
        *ABOUT_A_PERSON,
        Parameter("organization", "reference", _organization, "Patient-organization"),
    )
    includes = (
        Include("organization", "Organization", lambda found: [found["managingOrganization"]]),
    )
    narrowed_by = frozenset({"_id", "identifier", "name", "family", "given"})
    documentation = (
        "One per institution and patient number; what the newest study says of the person"
    )

    def search(self, context: Context, condition: Q, *, after: str, size: int) -> Page:
        beginning = row_id(after)
        if after and beginning is None:
            raise FHIRRefusal("The link is not one of ours: search again.")
        try:
            found, more = patients.page_of_patients(
                actor=context.actor, condition=condition, after=beginning, size=size
            )
        except NotFound as gone:
            raise FHIRRefusal(
                "The search has to be made again.", status=410, issue="expired"
            ) from gone
        return Page([resource(each) for each in found], str(found[-1].id) if more and found else "")

    def count(self, context: Context, condition: Q) -> int:
        return patients.count_patients(actor=context.actor, condition=condition)

    def read(self, context: Context, resource_id: str) -> Resource:
        row = row_id(resource_id)
        if row is None:
            raise NotFound("There is no such patient.")
        found = patients.get_patient(actor=context.actor, patient_id=row)
        trail.record_patient(context.actor, found)
        return resource(found)

    def load(self, context: Context, ids: Collection[str]) -> list[Resource]:
        rows = [row for each in ids if (row := row_id(each)) is not None]
        return [resource(each) for each in patients.list_patients(actor=context.actor, ids=rows)]

    def note_search(self, context: Context) -> None:
        trail.record_search(context.actor, kind="patient")


def resource(patient: Patient) -> Resource:
    """The patient as FHIR has it."""
    organization = {
        "reference": f"Organization/{id_of_code(patient.institution_code)}",
        "display": patient.institution_name,
    }
    found: Resource = {"resourceType": "Patient", "id": str(patient.id)}
    if patient.number:
        number = number_identifier(patient.institution_code, patient.number)
        found["identifier"] = [number | {"assigner": organization}]
    if spoken := names.human_names(patient.name):
        found["name"] = spoken
    if patient.sex:
        found["gender"] = _GENDERS.get(patient.sex, "unknown")
    if patient.birth_date:
        found["birthDate"] = patient.birth_date.isoformat()
    found["managingOrganization"] = organization
    return found
