"""The API's description: each operation says what a refusal looks like."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema

from common.problem import PROBLEM_TYPE

# RFC 9457, with our stable code; ``facts`` are what a refusal knows beside its text.
PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "facts": {"type": "object", "additionalProperties": True},
        "request_id": {"type": "string"},
    },
    "required": ["type", "title", "status", "code"],
}


class ProblemSchema(AutoSchema):
    """Any other status than the ones that are named answers a problem document."""

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        bodies["default"] = {
            "description": "Refused (RFC 9457)",
            "content": {PROBLEM_TYPE: {"schema": PROBLEM}},
        }
        return bodies
