"""PID and MRG: who the patient is (HL7 v2.9, sections 3.4.2 and 3.4.9)."""

from __future__ import annotations

import re

from common.hl7.errors import DATA_TYPE_ERROR, REQUIRED_FIELD_MISSING, MessageError
from common.hl7.message import Message, Repetition, Segment
from common.identifiers.resident_id import is_valid_resident_id
from sharing.domain.identities import PatientFacts

# CX.5, table 0203, and what systems in the country write there. Nothing stands for the local number.
NUMBER_TYPES = frozenset({"", "MR", "PI", "PT", "PN", "PID"})
RESIDENT_ID_TYPES = frozenset({"NI", "NNCHN", "CZ", "SFZ", "ID", "IDCARD"})
INSURANCE_TYPES = frozenset({"SN", "MC", "YB"})
CARD_TYPES = frozenset({"HC", "JHN", "EHC"})
PASSPORT_TYPES = frozenset({"PPN"})
PERMIT_TYPES = frozenset({"HMT", "GAT"})
BIRTH_CERTIFICATE_TYPES = frozenset({"BCT", "BC"})
# Table 0001, and GB/T 2261.1 beside it.
SEXES = {
    "M": "M", "1": "M", "男": "M",
    "F": "F", "2": "F", "女": "F",
    "O": "O", "A": "O", "9": "O",
    "U": "", "N": "", "0": "", "C": "",
}  # fmt: skip
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_PHONE = re.compile(r"[^0-9+]")


def patient_of(message: Message) -> tuple[str, PatientFacts]:
    """The number of the message's patient at the institution, and what PID says of them.

    What the message is silent about stays as it is known; ``""`` of HL7 ("delete") empties it.

    Raises:
        MessageError: no PID, no local number, or a value that cannot be what it says it is.
    """
    pid = message.needed("PID")
    ids = _identifiers(pid)
    document_type, document = _document(ids)
    facts = PatientFacts(
        name=_name(pid) or _silence(pid, 5),
        birth_date=pid.day(7),
        sex=_sex(pid) or _silence(pid, 8),
        phone=_phone(pid) or _silence(pid, 13),
        resident_id=_resident_id(pid, ids) or _silence(pid, 19),
        insurance_code=_one(ids, INSURANCE_TYPES) or None,
        card=_one(ids, CARD_TYPES) or None,
        document_type=document_type or None,
        document=document or None,
    )
    return local_number(pid, 3), facts


def _silence(pid: Segment, at: int) -> str | None:
    return "" if pid.is_null(at) else None


def local_number(segment: Segment, at: int) -> str:
    """The number of the institution among the identifiers of a field: the one that says it is, else an untyped one.

    Raises:
        MessageError: there is none, or one that no DICOM Patient ID could be.
    """
    values = segment.repetitions(at)
    typed = [v for v in values if _type(v) in NUMBER_TYPES - {""} and v.text(1)]
    plain = [v for v in values if not _type(v) and v.text(1)]
    found = next(iter(typed or plain), None)
    place = f"{segment.name}-{at}"
    if found is None:
        raise MessageError(
            f"{place} has no number of the institution (type MR or PI, or no type).",
            condition=REQUIRED_FIELD_MISSING,
            location=place,
        )
    number = found.text(1)
    if len(number) > 64 or any(letter < " " or letter == "\\" for letter in number):
        raise MessageError(f"{place} is no number that an examination could carry.", location=place)
    return number


def prior_number(message: Message) -> str:
    """MRG-1: the number that is merged into that of PID (A40)."""
    return local_number(message.needed("MRG"), 1)


def _type(value: Repetition) -> str:
    return value.text(5).upper()


def _identifiers(pid: Segment) -> list[tuple[str, str]]:
    return [(_type(value), value.text(1)) for value in pid.repetitions(3) if value.text(1)]


def _one(ids: list[tuple[str, str]], types: frozenset[str]) -> str:
    return next((value for kind, value in ids if kind in types), "")


def _document(ids: list[tuple[str, str]]) -> tuple[str, str]:
    kinds = (
        ("passport", PASSPORT_TYPES),
        ("hmt-permit", PERMIT_TYPES),
        ("birth", BIRTH_CERTIFICATE_TYPES),
    )
    for name, types in kinds:
        if value := _one(ids, types):
            return name, value
    return "", ""


def _resident_id(pid: Segment, ids: list[tuple[str, str]]) -> str:
    """Policy P1. PID-19 is where most systems in the country put it.

    A wrong one is refused and not passed over: it would link two people, or nobody would repair it.
    """
    stated = _one(ids, RESIDENT_ID_TYPES)
    value, at = (stated, 3) if stated else (pid.text(19), 19)
    value = value.upper()
    if value and not is_valid_resident_id(value):
        place = f"PID-{at}"
        raise MessageError(f"{place} is no valid resident ID.", location=place)
    return value


def _sex(pid: Segment) -> str:
    value = pid.text(8).upper()
    if value and value not in SEXES:
        raise MessageError(
            "PID-8 is no sex of table 0001 or GB/T 2261.1.",
            condition="103",
            location="PID-8",
        )
    return SEXES.get(value, "")


def _phone(pid: Segment) -> str:
    for at in (13, 14):
        for value in pid.repetitions(at):
            number = value.text(12) or value.text(7) or value.text(1)
            digits = _PHONE.sub("", number)
            if 5 <= len(digits) <= 20:
                return digits
    return ""


def _name(pid: Segment) -> str:
    """The names of PID-5 as one PN: the alphabetic one, then the ideographic, then the phonetic (PS3.5 §6.2.1)."""
    groups: dict[str, str] = {}
    for value in pid.repetitions(5):
        text = _person_name(value)
        if text:
            said = value.text(8).upper()
            group = said if said in {"A", "I", "P"} else "I" if _HAN.search(text) else "A"
            groups.setdefault(group, text)
    parts = [groups.get(group, "") for group in ("A", "I", "P")]
    name = "=".join(parts).rstrip("=")
    if len(name) > 400:
        raise MessageError("PID-5 is too long.", condition=DATA_TYPE_ERROR, location="PID-5")
    return name


def _person_name(value: Repetition) -> str:
    family, given, middle = value.text(1), value.text(2), value.text(3)
    prefix, suffix = value.text(5), value.text(4)
    # PN orders prefix before suffix, XPN the other way round.
    parts = [_plain(part) for part in (family, given, middle, prefix, suffix)]
    return "^".join(parts).rstrip("^")


def _plain(text: str) -> str:
    """Without the characters that part a PN."""
    return re.sub(r"[\^=\\\x00-\x1f]", " ", text).strip()
