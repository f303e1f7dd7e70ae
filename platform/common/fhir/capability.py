"""What is offered, made of the same tables that answer (R4 CapabilityStatement)."""

from __future__ import annotations

from collections.abc import Iterable

from common.fhir.formats import FHIR_VERSION
from common.fhir.resources import Resource, ResourceType
from common.outcome import FHIR_JSON

# When the tables changed last; a client may compare it.
PUBLISHED = "2026-11-22"


def capability_statement(kinds: Iterable[ResourceType], *, base: str) -> Resource:
    """The statement of this server."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": PUBLISHED,
        "kind": "instance",
        "software": {"name": "Provincial imaging cloud"},
        "implementation": {"description": "Examinations of a province's hospitals", "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": [FHIR_JSON, "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "description": "Bearer token of an account (RFC 6750), or a session. An answer holds what"
                    " the account may see; hidden and absent look the same."
                },
                "resource": [_resource(each) for each in kinds],
            }
        ],
    }


def _resource(kind: ResourceType) -> Resource:
    offered: Resource = {
        "type": kind.name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{kind.name}",
        "interaction": [
            {"code": "read"},
            *([{"code": "create"}] if kind.creates else []),
            {"code": "search-type"},
        ],
        "versioning": "no-version",
        "readHistory": False,
        "conditionalRead": "not-match",
    }
    if kind.documentation:
        offered["documentation"] = kind.documentation
    if kind.includes:
        offered["searchInclude"] = [f"{kind.name}:{each.name}" for each in kind.includes]
    offered["searchParam"] = [
        {"name": each.name, "definition": each.canonical, "type": each.kind}
        | ({"documentation": each.documentation} if each.documentation else {})
        for each in kind.parameters
    ]
    return offered
