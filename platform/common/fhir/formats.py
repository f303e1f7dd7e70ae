"""Which format is wanted (R4 §3.1.0.1.10 and §3.1.0.1.11). There is one: JSON."""

from __future__ import annotations

from django.http import HttpRequest

from common.dicomweb.media_types import ANY, MediaType, parse_accept
from common.fhir.errors import FHIRRefusal
from common.outcome import FHIR_JSON

FHIR_VERSION = "4.0.1"
_NAMES = frozenset({"json", "text/json", "application/json", FHIR_JSON})
_RANGES = {
    ANY: FHIR_JSON,
    "application/*": FHIR_JSON,
    FHIR_JSON: FHIR_JSON,
    "application/json": "application/json",
    "text/json": "application/json",
    "text/*": "application/json",
}
_SPOKEN = frozenset({"", "4.0", FHIR_VERSION})


def chosen_format(request: HttpRequest, asked: str) -> str:
    """The media type of the answer; ``asked`` is the value of ``_format``, which outweighs Accept.

    Raises:
        FHIRRefusal: 406, JSON is not wanted.
    """
    if asked:
        name, _, version = asked.strip().replace(" ", "+").partition(";")
        if name.strip() in _NAMES and not version:
            return FHIR_JSON
        raise _refusal()
    accepted = parse_accept(request.headers.get("Accept", "")) or [MediaType(ANY)]
    for wanted in accepted:
        if wanted.name in _RANGES and wanted.parameters.get("fhirversion", "") in _SPOKEN:
            return _RANGES[wanted.name]
    raise _refusal()


def _refusal() -> FHIRRefusal:
    return FHIRRefusal(
        f"Resources are given as {FHIR_JSON}, FHIR version {FHIR_VERSION}.",
        status=406,
        issue="not-supported",
    )
