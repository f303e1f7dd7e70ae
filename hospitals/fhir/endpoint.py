"""Endpoint: where the examinations of an institution are read, which is here (R4 Endpoint).

The hospital's own endpoint, its address and its secrets are nobody's business but ours.
"""

from __future__ import annotations

from django.db.models import Q
from django.urls import reverse

from common.fhir.resources import Context, Include, Parameter, Resource
from common.fhir.values import NOTHING, id_of_code, reference_code, token
from hospitals.fhir.directory import (
    INSTITUTION_CODE,
    OF_INSTITUTION,
    DirectoryType,
    identifier_parameter,
    name_parameter,
)
from hospitals.models import Institution

_CONNECTION_TYPES = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_WADO_RS = "dicom-wado-rs"
_STATUS_SYSTEM = "http://hl7.org/fhir/endpoint-status"
State = Institution.State
# What a suspended institution holds stays readable, for its patients' care (policy I5).
_STATUSES = {
    State.ONBOARDING: "test",
    State.ACTIVE: "active",
    State.SUSPENDED: "active",
    State.LEFT: "off",
}


def _status(_: Context, value: str, __: str) -> Q:
    asked = token(value)
    if asked.system not in (None, _STATUS_SYSTEM):
        return NOTHING
    return Q(state__in=[state for state, status in _STATUSES.items() if status == asked.code])


def _organization(context: Context, value: str, _: str) -> Q:
    code = reference_code(value, "Organization", base=context.base)
    return Q(code=code) if code else NOTHING


def _connection_type(_: Context, value: str, __: str) -> Q:
    return Q(pk__isnull=False) if token(value).meets(_CONNECTION_TYPES, _WADO_RS) else NOTHING


class Endpoints(DirectoryType):
    """Our own DICOMweb roots, one per institution that the actor may find in the directory."""

    name = "Endpoint"
    parameters = (
        *OF_INSTITUTION,
        identifier_parameter("Endpoint-identifier"),
        name_parameter("Endpoint-name"),
        Parameter("organization", "reference", _organization, "Endpoint-organization"),
        Parameter("status", "token", _status, "Endpoint-status"),
        Parameter("connection-type", "token", _connection_type, "Endpoint-connection-type"),
    )
    includes = (
        Include("organization", "Organization", lambda found: [found["managingOrganization"]]),
    )
    documentation = "DICOMweb of this cloud, per institution; never the hospital's own address"

    def resource(self, context: Context, institution: Institution) -> Resource:
        own_id = id_of_code(institution.code)
        root = context.absolute(reverse("dicomweb:root")).rstrip("/")
        return {
            "resourceType": "Endpoint",
            "id": own_id,
            "meta": {"lastUpdated": institution.updated_at.isoformat(timespec="milliseconds")},
            "identifier": [{"system": INSTITUTION_CODE, "value": institution.code}],
            "status": _STATUSES[State(institution.state)],
            "connectionType": {"system": _CONNECTION_TYPES, "code": _WADO_RS},
            "name": institution.name,
            "managingOrganization": {"reference": f"Organization/{own_id}"},
            "payloadType": [{"text": "DICOM WADO-RS"}],
            "payloadMimeType": ["application/dicom", "application/dicom+json"],
            "address": f"{root}/at/{institution.code}",
        }
