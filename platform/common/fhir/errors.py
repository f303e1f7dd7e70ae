"""Refusals of the FHIR interface."""

from __future__ import annotations

from common.errors import DomainError


class FHIRRefusal(DomainError):
    """The request is not valid. ``status`` and ``issue`` (http://hl7.org/fhir/issue-type) say how."""

    code = "bad-request"

    def __init__(self, message: str, *, status: int = 400, issue: str = "invalid") -> None:
        super().__init__(message)
        self.status = status
        self.issue = issue
