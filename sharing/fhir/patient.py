"""Patient: one for each person, with the numbers of the institutions (R4 Patient; ADR 0024)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.db.models import Q

from common.errors import NotFound
from common.fhir.errors import FHIRRefusal
from common.fhir.resources import Context, Include, Page, Parameter, Resource, ResourceType
from common.fhir.values import NOTHING, days, id_of_code, period, reference_code, token
from sharing.domain.identities import PERSON_KEY
from sharing.fhir import names, systems, trail
from sharing.models import Study
from sharing.selectors import patients
from sharing.selectors.patients import Number, Patient

_GENDERS = {"M": "male", "F": "female", "O": "other"}
_MODIFIERS = frozenset({"exact"})
_GENDER_SYSTEM = "http://hl7.org/fhir/administrative-gender"
_RENDERED = "http://hl7.org/fhir/StructureDefinition/rendered-value"
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


def subject(study: Study, keys: Mapping[int, str]) -> dict[str, Any]:
    """The reference to the patient of a study; by the number alone in a row of an older release."""
    found: dict[str, Any] = {"type": "Patient"}
    if key := keys.get(study.person_id or 0):
        found["reference"] = f"Patient/{key}"
    if study.patient_id:
        found["identifier"] = number_identifier(study.institution.code, study.patient_id)
    return found if len(found) > 1 else {"display": "unknown"}


def _identifier(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system == systems.PERSON_KEY:
        return patients.of_patient(asked.code)
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


def _own_id(_: Context, value: str, __: str) -> Q:
    return patients.of_patient(token(value).code)


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
        Include(
            "organization",
            "Organization",
            lambda found: [each["assigner"] for each in found["identifier"] if "assigner" in each],
        ),
    )
    narrowed_by = frozenset({"_id", "identifier", "name", "family", "given"})
    documentation = (
        "One per person; what its newest study says, with the numbers of the institutions"
    )

    def search(self, context: Context, condition: Q, *, after: str, size: int) -> Page:
        if after and not PERSON_KEY.fullmatch(after):
            raise FHIRRefusal("The link is not one of ours: search again.")
        try:
            found, more = patients.page_of_patients(
                actor=context.actor, condition=condition, after=after, size=size
            )
        except NotFound as gone:
            raise FHIRRefusal(
                "The search has to be made again.", status=410, issue="expired"
            ) from gone
        return Page([resource(each) for each in found], found[-1].key if more and found else "")

    def count(self, context: Context, condition: Q) -> int:
        return patients.count_patients(actor=context.actor, condition=condition)

    def read(self, context: Context, resource_id: str) -> Resource:
        found = patients.get_patient(actor=context.actor, key=resource_id)
        trail.record_patient(context.actor, found)
        return resource(found)

    def load(self, context: Context, ids: Collection[str]) -> list[Resource]:
        return [resource(each) for each in patients.list_patients(actor=context.actor, keys=ids)]

    def note_search(self, context: Context) -> None:
        trail.record_search(context.actor, kind="patient")


def resource(patient: Patient) -> Resource:
    """The patient as FHIR has it. Identities are masked (policy P5): the value is absent, its rendering is there."""
    found: Resource = {"resourceType": "Patient", "id": patient.key}
    found["identifier"] = [
        *(_number(each) for each in patient.numbers if each.value),
        {"use": "official", "system": systems.PERSON_KEY, "value": patient.key},
        *_masked(patient),
    ]
    if spoken := names.human_names(patient.name):
        found["name"] = spoken
    phones = dict.fromkeys(each.masked.phone for each in patient.numbers if each.masked.phone)
    if phones:
        found["telecom"] = [{"system": "phone", "_value": _rendered(phone)} for phone in phones]
    if patient.sex:
        found["gender"] = _GENDERS.get(patient.sex, "unknown")
    if patient.birth_date:
        found["birthDate"] = patient.birth_date.isoformat()
    organizations = {each.institution_code: _organization_of(each) for each in patient.numbers}
    if len(organizations) == 1:  # of a person whom several know, none manages the record
        found["managingOrganization"] = next(iter(organizations.values()))
    return found


def _number(number: Number) -> dict[str, Any]:
    identifier = number_identifier(number.institution_code, number.value)
    return identifier | {"assigner": _organization_of(number)}


def _organization_of(number: Number) -> dict[str, str]:
    return {
        "reference": f"Organization/{id_of_code(number.institution_code)}",
        "display": number.institution_name,
    }


def _masked(patient: Patient) -> list[dict[str, Any]]:
    numbers = dict.fromkeys(each.masked.resident_id for each in patient.numbers)
    return [
        {
            "use": "official",
            "type": {"coding": [{"system": systems.IDENTIFIER_TYPE, "code": "NI"}]},
            "system": systems.RESIDENT_ID,
            "_value": _rendered(number),
        }
        for number in numbers
        if number
    ]


def _rendered(text: str) -> dict[str, Any]:
    return {"extension": [{"url": _RENDERED, "valueString": text}]}
