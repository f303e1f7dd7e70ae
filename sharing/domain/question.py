"""What is asked of hospitals for a reader: which keys are sent to them, and what of their answer is kept.

Origins match in their own ways: a stock server ignores what it does not support and returns everything, one that
has no fuzzy matching finds no pinyin. So few, plain keys are sent, and what comes back is sieved here. The sieve
never drops what our own search would find; that search, over the index, then decides what the reader gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from common.dicom.names import name_grams, query_grams
from sharing.domain import facts
from sharing.errors import QuestionUnbounded

STUDY_DATE, ACCESSION_NUMBER = "00080020", "00080050"
MODALITIES_IN_STUDY = "00080061"
PATIENT_NAME, PATIENT_ID = "00100010", "00100020"
STUDY_INSTANCE_UID = "0020000D"
# What every origin server must match (PS3.18 §10.6.1.5), and matches alike.
_SENT = {
    STUDY_DATE: "StudyDate",
    ACCESSION_NUMBER: "AccessionNumber",
    MODALITIES_IN_STUDY: "ModalitiesInStudy",
    PATIENT_ID: "PatientID",
    STUDY_INSTANCE_UID: "StudyInstanceUID",
}
# With one of these the answer is short enough without the name, which is then matched here alone.
_NARROW = (STUDY_INSTANCE_UID, PATIENT_ID, ACCESSION_NUMBER, STUDY_DATE)
MOST_DAYS = 31
_FEWEST_LITERALS = 3
_FEWEST_OF_A_NAME = 2
_EMPTY = '""'  # empty value matching: not every origin has it
_NUMBER = re.compile(r"\*?(?P<code>[-A-Za-z0-9_]+):(?P<local>.+)", re.DOTALL)


@dataclass(frozen=True)
class Question:
    """Values by 8-digit tag, as in a search. ``namespaced``: Patient IDs may read ``{institution}:{number}``."""

    keys: Mapping[str, str] = field(repr=False)
    fuzzy: bool = False
    namespaced: bool = False


def require_bounded(question: Question) -> None:
    """Refuse what many studies of every hospital answer.

    Raises:
        QuestionUnbounded: it names no patient, number, name or study, and no 31 days or less.
    """
    keys = question.keys
    if keys.get(STUDY_INSTANCE_UID) or _days(keys.get(STUDY_DATE, "")) <= MOST_DAYS:
        return
    if any(_is_narrow(keys.get(tag, "")) for tag in (PATIENT_ID, ACCESSION_NUMBER)):
        return
    name = [each for each in _listed(keys.get(PATIENT_NAME, "")) if each != _EMPTY]
    if name and all(len("".join(query_grams(each))) >= _FEWEST_OF_A_NAME for each in name):
        return
    raise QuestionUnbounded


def keys_for(question: Question, institution_code: str) -> dict[str, str] | None:
    """The keys as this institution knows them; None when it is not concerned."""
    keys = {tag: value for tag, value in question.keys.items() if value}
    if question.namespaced and PATIENT_ID in keys:
        local = []
        for each in _listed(keys[PATIENT_ID]):
            found = _NUMBER.fullmatch(each)
            if found is None:
                local.append(each)
            elif found["code"] == institution_code:
                local.append(found["local"])
        if not local:
            return None
        keys[PATIENT_ID] = "\\".join(local)
    return keys


def filters_for(keys: Mapping[str, str]) -> dict[str, str]:
    """What is sent to an origin, by keyword: few and plain keys.

    Lists are sent of UIDs only; of other keys with several values none is sent, and all are sieved here.
    """
    sent = {
        keyword: value.strip()
        for tag, keyword in _SENT.items()
        if (value := keys.get(tag, "")).strip()
        and _EMPTY not in value
        and (tag in (STUDY_INSTANCE_UID, MODALITIES_IN_STUDY) or "\\" not in value)
    }
    for keyword in ("StudyInstanceUID", "ModalitiesInStudy"):
        values = _listed(sent.get(keyword, ""), also=",")
        if len(values) > 1 and keyword == "ModalitiesInStudy":
            del sent[keyword]  # some origins take a list for one unknown modality
        elif values:
            sent[keyword] = ",".join(values)
    name = keys.get(PATIENT_NAME, "").strip()
    if name and _EMPTY not in name and not any(_SENT[tag] in sent for tag in _NARROW):
        sent["PatientName"] = _name_for_origin(name)
    return sent


def fits(row: Mapping[str, Any], keys: Mapping[str, str], *, fuzzy: bool = False) -> bool:
    """Whether a result may be one that was asked for. What cannot be judged here fits."""
    return all(
        check(row, keys[tag])
        for tag, check in _CHECKS.items()
        if keys.get(tag) and _EMPTY not in keys[tag] and not (fuzzy and tag == PATIENT_NAME)
    )


def _uid_fits(row: Mapping[str, Any], value: str) -> bool:
    return facts.text(row, STUDY_INSTANCE_UID, 65) in _listed(value, also=",")


def _date_fits(row: Mapping[str, Any], value: str) -> bool:
    day = facts.day(row, STUDY_DATE)
    first, last = _span(value)
    if day is None:
        return False
    return (first is None or day >= first) and (last is None or day <= last)


def _patient_id_fits(row: Mapping[str, Any], value: str) -> bool:
    return _text_fits(facts.text(row, PATIENT_ID, 128), value)


def _accession_number_fits(row: Mapping[str, Any], value: str) -> bool:
    return _text_fits(facts.text(row, ACCESSION_NUMBER, 64), value)


def _modalities_fit(row: Mapping[str, Any], value: str) -> bool:
    found = facts.modalities_in_study(row)
    if not found:
        return True  # an origin that does not say: the index decides when the series are listed
    return any(_text_fits(each, one) for one in _listed(value.upper(), also=",") for each in found)


def _name_fits(row: Mapping[str, Any], value: str) -> bool:
    name = facts.person_name(row, PATIENT_NAME)
    grams = set(name_grams(name))
    return any(
        "=" in each
        or (bool(wanted := query_grams(each)) and grams.issuperset(wanted))
        or any(_text_fits(group.lower(), f"{each.lower().rstrip('^')}*") for group in name.split("="))
        or _text_fits(name.lower(), each.lower())
        for each in _listed(value)
    )  # fmt: skip


_CHECKS = {
    STUDY_INSTANCE_UID: _uid_fits,
    STUDY_DATE: _date_fits,
    PATIENT_ID: _patient_id_fits,
    ACCESSION_NUMBER: _accession_number_fits,
    MODALITIES_IN_STUDY: _modalities_fit,
    PATIENT_NAME: _name_fits,
}


def _text_fits(text: str, value: str) -> bool:
    return any(_pattern(each).fullmatch(text) for each in _listed(value))


def _pattern(value: str) -> re.Pattern[str]:
    """``*`` and ``?``; no place is tried twice between two stars."""
    first, *others = (
        "".join("." if c == "?" else re.escape(c) for c in p) for p in value.split("*")
    )
    if not others:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in others[:-1] if piece)
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL)


def _listed(value: str, *, also: str = "") -> list[str]:
    return [each.strip() for each in re.split(rf"[\\{also}]", value) if each.strip()]


def _is_narrow(value: str) -> bool:
    values = _listed(value)
    return bool(values) and all(
        _literals(each) >= _FEWEST_LITERALS or not _is_wild(each) for each in values
    )


def _is_wild(value: str) -> bool:
    return "*" in value or "?" in value or value == _EMPTY


def _literals(value: str) -> int:
    return len(re.sub(r'[*?"]', "", value.rpartition(":")[2]))


def _name_for_origin(value: str) -> str:
    """A pattern that finds at least the plain spelling, in whichever component group and order it stands."""
    words: Iterable[str] = re.findall(r"[^\W_]+", value)
    spread = ("*".join(word) if any(ord(c) > 0x2E7F for c in word) else word for word in words)
    return f"*{'*'.join(spread)}*"


def _days(value: str) -> int:
    first, last = _span(value) if value else (None, None)
    if first is None or last is None:
        return MOST_DAYS + 1
    return max(0, (last - first) // timedelta(days=1)) + 1


def _span(value: str) -> tuple[date | None, date | None]:
    first, dash, last = value.strip().partition("-")
    begin = _day(first)
    return begin, _day(last) if dash else begin


def _day(text: str) -> date | None:
    return facts.day({STUDY_DATE: {"Value": [text.strip()]}}, STUDY_DATE) if text.strip() else None
