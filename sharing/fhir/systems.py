"""Systems of identifiers and codes."""

from __future__ import annotations

import re

from common.fhir.values import Token

DICOM_UID = "urn:dicom:uid"
URI = "urn:ietf:rfc:3986"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
PERSON_KEY = "urn:x-province:person"
RESIDENT_ID = "urn:x-province:resident-id"
_NUMBER = "urn:x-province:patient-number:"
_ACCESSION = "urn:x-province:accession-number:"
_REPORT = "urn:x-province:report-number:"
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def patient_number(institution_code: str) -> str:
    """The system of the patient numbers that one institution gives."""
    return _NUMBER + institution_code


def accession_number(institution_code: str) -> str:
    """The system of one institution's accession numbers."""
    return _ACCESSION + institution_code


def report_number(institution_code: str) -> str:
    """The system of the numbers that one institution's systems give to reports."""
    return _REPORT + institution_code


def institution_of_number(asked: Token) -> str | None:
    """Whose patient number is asked for; empty for anybody's, None where it is no patient number."""
    return _institution(asked, _NUMBER)


def institution_of_accession(asked: Token) -> str | None:
    """As ``institution_of_number`` for accession numbers."""
    return _institution(asked, _ACCESSION)


def institution_of_report(asked: Token) -> str | None:
    """As ``institution_of_number`` for numbers of reports."""
    return _institution(asked, _REPORT)


def _institution(asked: Token, start: str) -> str | None:
    if asked.system is None:
        return ""
    code = asked.system.removeprefix(start)
    return code if asked.system.startswith(start) and _CODE.fullmatch(code) else None
