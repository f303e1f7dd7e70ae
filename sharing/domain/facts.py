"""What the index keeps of a study and of a series, taken from DICOM JSON (PS3.18 Annex F).

The same reading serves the hospital's search answers and the archive's own metadata, so that an index row
means the same wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

Attributes = Mapping[str, Any]

PATIENT_NAME = "00100010"
MODALITY = "00080060"
MODALITIES_IN_STUDY = "00080061"
STUDY_INSTANCE_UID = "0020000D"
SERIES_INSTANCE_UID = "0020000E"
SOP_INSTANCE_UID = "00080018"
INSTANCE_NUMBER = "00200013"
RELATED_INSTANCES_OF_STUDY = "00201208"
RELATED_INSTANCES_OF_SERIES = "00201209"
REQUEST_ATTRIBUTES = "00400275"
SCHEDULED_STEP_ID = "00400009"
REQUESTED_PROCEDURE_ID = "00401001"
TIMEZONE_OFFSET = "00080201"
# What a search may ask for beside the columns. Nothing that may hold a resident ID or a story about the patient.
MORE_OF_STUDY = (
    TIMEZONE_OFFSET,
    "00081060",  # Name of Physician(s) Reading Study
    "00101010",  # Patient's Age
    "00101020",  # Patient's Size
    "00101030",  # Patient's Weight
    "00321060",  # Requested Procedure Description
)
MORE_OF_SERIES = (
    TIMEZONE_OFFSET,
    "00080070",  # Manufacturer
    "00081010",  # Station Name
    "00081040",  # Institutional Department Name
    "00081090",  # Manufacturer's Model Name
    "00181030",  # Protocol Name
    "00185100",  # Patient Position
    "00200060",  # Laterality
    "00400254",  # Performed Procedure Step Description
)
_OF_REQUEST = (SCHEDULED_STEP_ID, REQUESTED_PROCEDURE_ID, "00400007", "00321060")
_MOST_REQUESTS = 16


@dataclass(frozen=True)
class StudyFacts:
    """Columns of an index row that describe the study itself."""

    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str
    study_date: date | None
    study_time: str
    accession_number: str
    dicom_study_id: str
    study_description: str
    referring_physician_name: str
    more: dict[str, list[Any]]


@dataclass(frozen=True)
class SeriesFacts:
    """Columns of an index row that describe the series itself."""

    modality: str
    series_number: int | None
    series_description: str
    body_part_examined: str
    series_date: date | None
    series_time: str
    performed_date: date | None
    performed_time: str
    request_attributes: list[dict[str, str]]
    more: dict[str, list[Any]]


def study_facts(attributes: Attributes) -> StudyFacts:
    """Read the study level; what is missing or malformed is empty, never invented."""
    return StudyFacts(
        patient_id=text(attributes, "00100020", 128),
        issuer_of_patient_id=text(attributes, "00100021", 128),
        patient_name=person_name(attributes, PATIENT_NAME),
        patient_birth_date=day(attributes, "00100030"),
        patient_sex=text(attributes, "00100040", 16),
        study_date=day(attributes, "00080020"),
        study_time=text(attributes, "00080030", 16),
        accession_number=text(attributes, "00080050", 64),
        dicom_study_id=text(attributes, "00200010", 64),
        study_description=text(attributes, "00081030", 256),
        referring_physician_name=person_name(attributes, "00080090"),
        more=more(attributes, MORE_OF_STUDY),
    )


def series_facts(attributes: Attributes) -> SeriesFacts:
    """Read the series level; what is missing or malformed is empty, never invented."""
    return SeriesFacts(
        modality=text(attributes, MODALITY, 16),
        series_number=number(attributes, "00200011"),
        series_description=text(attributes, "0008103E", 256),
        body_part_examined=text(attributes, "00180015", 64),
        series_date=day(attributes, "00080021"),
        series_time=text(attributes, "00080031", 16),
        performed_date=day(attributes, "00400244"),
        performed_time=text(attributes, "00400245", 16),
        request_attributes=request_attributes(attributes),
        more=more(attributes, MORE_OF_SERIES),
    )


def request_attributes(attributes: Attributes) -> list[dict[str, str]]:
    """The items of Request Attributes Sequence that say something, as texts by tag."""
    items = [each for each in values(attributes, REQUEST_ATTRIBUTES) if isinstance(each, Mapping)]
    found = (
        {tag: said for tag in _OF_REQUEST if (said := text(each, tag, 64))}
        for each in items[:_MOST_REQUESTS]
    )
    return [item for item in found if item]


def more(attributes: Attributes, tags: Iterable[str]) -> dict[str, list[Any]]:
    """The values of these attributes that are there: short texts, numbers and names, nothing nested."""
    found = {tag: [_kept(each) for each in values(attributes, tag)[:8]] for tag in tags}
    return {
        tag: kept for tag, kept in found.items() if any(each not in (None, "") for each in kept)
    }


def _kept(value: object) -> Any:
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        groups = ("Alphabetic", "Ideographic", "Phonetic")
        return {name: clean(value[name])[:128] for name in groups if value.get(name)}
    return clean(value)[:128]


def modalities_in_study(attributes: Attributes) -> list[str]:
    """ModalitiesInStudy of a search answer, sorted, without empty values."""
    found = {clean(value)[:16] for value in values(attributes, MODALITIES_IN_STUDY)}
    return sorted(found - {""})


def values(attributes: Attributes, tag: str) -> list[Any]:
    """The values of an attribute; empty when it is absent or not of the model's form."""
    element = attributes.get(tag)
    found = element.get("Value") if isinstance(element, Mapping) else None
    return found if isinstance(found, list) else []


def text(attributes: Attributes, tag: str, limit: int) -> str:
    """The first value as text, cut to the column's width; several values joined as DICOM writes them."""
    return "\\".join(clean(value) for value in values(attributes, tag))[:limit]


def person_name(attributes: Attributes, tag: str, limit: int = 400) -> str:
    """A PN value as DICOM writes it: alphabetic=ideographic=phonetic, trailing groups dropped."""
    found = values(attributes, tag)
    if not found:
        return ""
    if not isinstance(found[0], Mapping):
        return clean(found[0])[:limit]
    groups = [clean(found[0].get(name)) for name in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join(groups).rstrip("=")[:limit]


def number(attributes: Attributes, tag: str) -> int | None:
    """An integer that a database column holds, or None."""
    found = values(attributes, tag)
    try:
        value = int(str(found[0]).strip()) if found else None
    except ValueError:
        return None
    return value if value is not None and -(2**31) <= value < 2**31 else None


def count(attributes: Attributes, tag: str) -> int | None:
    """A number of related objects, or None where the answer does not say."""
    value = number(attributes, tag)
    return value if value is not None and value >= 0 else None


def day(attributes: Attributes, tag: str) -> date | None:
    """A DA value (also the retired form with dots), or None when it is no day."""
    found = values(attributes, tag)
    digits = str(found[0]).strip().replace(".", "").replace("-", "") if found else ""
    if len(digits) != 8 or not digits.isdecimal():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def clean(value: object) -> str:
    """Text that PostgreSQL and people can hold: no NUL, no half of a surrogate pair, no padding."""
    text = "" if value is None else str(value).replace("\x00", "").strip()
    return text.encode("utf-8", "replace").decode("utf-8")
