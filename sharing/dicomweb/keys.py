"""The matching keys of each level (PS3.18 Tables 10.6.1-5 to -7 and what the index holds beyond them)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import orjson

from sharing.dicomweb import matching
from sharing.dicomweb.matching import ALWAYS, NEVER, Condition
from sharing.dicomweb.name_matching import patient_name, person_name
from sharing.dicomweb.query import EMPTY
from sharing.domain import facts
from sharing.domain.identities import PERSON_KEY, PROVINCE_ISSUER
from sharing.selectors import persons

if TYPE_CHECKING:
    from sharing.dicomweb.query import Search

InstitutionOf = Callable[[str], int | None]
PATIENT_NAME, PATIENT_ID, REFERRING = "00100010", "00100020", "00080090"
ISSUER = "00100021"
STUDY_COLUMNS: dict[str, tuple[str, matching.Matching]] = {
    "00080020": ("{s}.study_date", matching.day_range),
    "00080030": ("{s}.study_time", matching.time_range),
    "00080050": ("{s}.accession_number", matching.text_in_parts),
    "00080061": ("{s}.modalities", matching.modalities),
    "00081030": ("{s}.study_description", matching.description),
    ISSUER: ("{s}.issuer_of_patient_id", matching.text),
    "00100030": ("{s}.patient_birth_date", matching.day_range),
    "00100040": ("{s}.patient_sex", matching.text),
    "0020000D": ("{s}.study_instance_uid", matching.uids),
    "00200010": ("{s}.dicom_study_id", matching.text),
}
SERIES_COLUMNS: dict[str, tuple[str, matching.Matching]] = {
    "00080021": ("{e}.series_date", matching.day_range),
    "00080031": ("{e}.series_time", matching.time_range),
    "00080060": ("{e}.modality", matching.text),
    "0008103E": ("{e}.series_description", matching.description),
    "00180015": ("{e}.body_part_examined", matching.word),
    "0020000E": ("{e}.series_instance_uid", matching.uids),
    "00200011": ("{e}.series_number", matching.number),
    "00400244": ("{e}.performed_date", matching.day_range),
    "00400245": ("{e}.performed_time", matching.time_range),
}
# The standard's two keys within the sequence; both are asked of the same item.
STEP = f"{facts.REQUEST_ATTRIBUTES}.{facts.SCHEDULED_STEP_ID}"
PROCEDURE = f"{facts.REQUEST_ATTRIBUTES}.{facts.REQUESTED_PROCEDURE_ID}"
REQUEST_KEYS = (STEP, PROCEDURE)
STUDY_KEYS = frozenset(STUDY_COLUMNS) | {PATIENT_NAME, PATIENT_ID, REFERRING}
SERIES_KEYS = frozenset(SERIES_COLUMNS) | frozenset(REQUEST_KEYS)
_NOT_INDEXED = frozenset({ISSUER, "00100040", "00080060"})  # few values, each of many rows
_KEY = re.compile(r"\*?(?P<code>[-A-Za-z0-9_]+):(?P<local>.+)", re.DOTALL)


def study_conditions(search: Search, institution_of: InstitutionOf | None) -> list[Condition]:
    """What the keys of the study level ask. ``institution_of``: the id of a code, where answers carry the person's
    key as Patient ID."""
    keys = search.keys
    table = STUDY_COLUMNS
    if institution_of is not None and keys.get(ISSUER, "").strip() == PROVINCE_ISSUER:
        table = {tag: each for tag, each in table.items() if tag != ISSUER}  # every answer has it
    found = _columns(search, table)
    if name := keys.get(PATIENT_NAME):
        found.append(
            _empty_or(search, name, "{s}.patient_name") or patient_name(name, fuzzy=search.fuzzy)
        )
    if name := keys.get(REFERRING):
        column = "{s}.referring_physician_name"
        found.append(
            _empty_or(search, name, column) or person_name(column, name, fuzzy=search.fuzzy)
        )
    if number := keys.get(PATIENT_ID):
        found.append(
            _empty_or(search, number, "{s}.patient_id") or patient_id(number, institution_of)
        )
    return found


def series_conditions(search: Search) -> list[Condition]:
    """What the keys of the series level ask."""
    found = _columns(search, SERIES_COLUMNS)
    if any(key in search.keys for key in REQUEST_KEYS):
        found.append(_requests(search))
    return found


def patient_id(value: str, institution_of: InstitutionOf | None) -> Condition:
    """Whose studies are asked for.

    Where answers carry a person's key, such a key finds the person's studies in every institution, and
    ``{institution}:{number}`` the patient of that institution and nobody else. Any other value is a number as a
    hospital wrote it, in whichever hospital.
    """
    return matching.any_of(
        _patient_id(each.strip(), institution_of) for each in matching.listed(value)
    )


def _patient_id(value: str, institution_of: InstitutionOf | None) -> Condition:
    if institution_of is None:
        return matching.text_in_parts("{s}.patient_id", value)
    if PERSON_KEY.fullmatch(value) and (person := persons.id_of(value)) is not None:
        return Condition("{s}.person_id = %s", (person,), indexed=True, share=0)
    key = _KEY.fullmatch(value)
    if key is None:
        return matching.text_in_parts("{s}.patient_id", value)
    institution = institution_of(key["code"])
    if institution is None:
        return NEVER
    at = Condition("{s}.institution_id = %s AND {s}.patient_id <> ''", (institution,))
    return matching.all_of([matching.text_in_parts("{s}.patient_id", key["local"]), at])


def _columns(search: Search, table: Mapping[str, tuple[str, matching.Matching]]) -> list[Condition]:
    found = []
    for tag, value in search.keys.items():
        if tag in table:
            column, match = table[tag]
            condition = _empty_or(search, value, column) or match(column, value)
            if tag in _NOT_INDEXED:
                condition = Condition(condition.sql, condition.params)
            found.append(condition)
    return found


def _empty_or(search: Search, value: str, column: str) -> Condition | None:
    if search.empty_values and value.strip() == EMPTY:
        return matching.is_empty(column)
    return None


def _requests(search: Search) -> Condition:
    """One item of Request Attributes Sequence has all that is asked of it (PS3.4 §C.2.2.2.6)."""
    wanted = {
        key.rpartition(".")[2]: matching.few(matching.listed(search.keys[key]))
        for key in REQUEST_KEYS
        if key in search.keys
    }
    wanted = {
        tag: values
        for tag, values in wanted.items()
        if all(each.strip("* ") for each in values) and values
    }
    if not wanted:
        return ALWAYS
    # The first clause is that of the partial index.
    known = "NOT ({e}.request_attributes = '[]'::jsonb)"
    if all(len(values) == 1 and not matching.has_wildcard(values[0]) for values in wanted.values()):
        item = [{tag: values[0].strip() for tag, values in wanted.items()}]
        sql = f"{known} AND {{e}}.request_attributes @> %s::jsonb"
        return Condition(sql, (orjson.dumps(item).decode(),), indexed=True, share=0)
    asked = " AND ".join(
        "(" + " OR ".join([f"r->>'{tag}' LIKE %s"] * len(values)) + ")"
        for tag, values in wanted.items()
    )
    sql = f"{known} AND EXISTS (SELECT FROM jsonb_array_elements({{e}}.request_attributes) r WHERE {asked})"
    return Condition(
        sql, tuple(matching.like(each.strip()) for values in wanted.values() for each in values)
    )
