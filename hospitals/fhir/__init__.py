"""FHIR R4 resources of this module: Organization and Endpoint."""

from hospitals.fhir.endpoint import Endpoints
from hospitals.fhir.organization import Organizations

RESOURCES = (Organizations(), Endpoints())

__all__ = ["RESOURCES"]
