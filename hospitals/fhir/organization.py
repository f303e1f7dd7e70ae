"""Organization: a member of the province (R4 Organization)."""

from __future__ import annotations

from django.db.models import Q

from common.fhir.resources import Context, Include, Parameter, Resource
from common.fhir.values import NOTHING, boolean, clean, id_of_code, reference_code, text
from hospitals.fhir.directory import (
    CREDIT_CODE,
    INSTITUTION_CODE,
    NAME_MODIFIERS,
    OF_INSTITUTION,
    DirectoryType,
    identifier_parameter,
    name_parameter,
)
from hospitals.models import Institution

_TYPES = "http://terminology.hl7.org/CodeSystem/organization-type"
_LEFT = Institution.State.LEFT


def _active(_: Context, value: str, __: str) -> Q:
    return ~Q(state=_LEFT) if boolean(value) else Q(state=_LEFT)


def _endpoint(context: Context, value: str, _: str) -> Q:
    code = reference_code(value, "Endpoint", base=context.base)
    return Q(code=code) if code else NOTHING


class Organizations(DirectoryType):
    """Institutions that the actor may find in the directory."""

    name = "Organization"
    parameters = (
        *OF_INSTITUTION,
        identifier_parameter("Organization-identifier"),
        name_parameter("Organization-name"),
        Parameter("active", "token", _active, "Organization-active"),
        Parameter(
            "address",
            "string",
            lambda _, value, modifier: text("region__name", value, modifier),
            "Organization-address",
            modifiers=NAME_MODIFIERS,
            documentation="The administrative region",
        ),
        Parameter("endpoint", "reference", _endpoint, "Organization-endpoint"),
    )
    includes = (Include("endpoint", "Endpoint", lambda found: found["endpoint"]),)

    def resource(self, context: Context, institution: Institution) -> Resource:
        own_id = id_of_code(institution.code)
        identifiers = [{"use": "official", "system": INSTITUTION_CODE, "value": institution.code}]
        if institution.credit_code:
            identifiers.append({"system": CREDIT_CODE, "value": institution.credit_code})
        return {
            "resourceType": "Organization",
            "id": own_id,
            "meta": {"lastUpdated": institution.updated_at.isoformat(timespec="milliseconds")},
            "identifier": identifiers,
            "active": institution.state != _LEFT,
            "type": [{"coding": [{"system": _TYPES, "code": "prov"}]}],
            "name": clean(institution.name),
            "address": [{"text": clean(institution.region.name), "country": "CN"}],
            "endpoint": [{"reference": f"Endpoint/{own_id}"}],
        }
