"""FHIR's way to say what went wrong: OperationOutcome (R4 4.0.1, OperationOutcome)."""

from __future__ import annotations

from typing import Any

FHIR_JSON = "application/fhir+json"
ERROR_CODES = "urn:x-province:error-code"

# Our HTTP statuses in the words of http://hl7.org/fhir/issue-type.
_ISSUE_TYPES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    410: "expired",
    413: "too-long",
    415: "not-supported",
    429: "throttled",
    502: "transient",
    503: "transient",
}


def issue_type(status: int) -> str:
    """The issue type that goes with an HTTP status."""
    return _ISSUE_TYPES.get(status, "exception")


def issue(
    kind: str, diagnostics: str = "", *, severity: str = "error", code: str = ""
) -> dict[str, Any]:
    """One issue. ``code`` is ours and stable; ``diagnostics`` is for people and holds no patient data."""
    found: dict[str, Any] = {"severity": severity, "code": kind}
    if code:
        found["details"] = {"coding": [{"system": ERROR_CODES, "code": code}]}
    if diagnostics:
        found["diagnostics"] = diagnostics
    return found


def operation_outcome(*issues: dict[str, Any]) -> dict[str, Any]:
    """The resource; there is at least one issue."""
    return {"resourceType": "OperationOutcome", "issue": list(issues)}
