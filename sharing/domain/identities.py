"""What is registered of a patient, checked (policy section 4). Nothing here quotes an identity in an error."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, fields, replace
from datetime import date
from enum import StrEnum

from common.identifiers.resident_id import MalformedResidentId, parse_resident_id
from sharing.errors import IdentityMalformed

_PHONE = re.compile(r"\+?[0-9]{5,20}")
_CODE = re.compile(r"[^\s\x00-\x1f]{3,64}")
_CODES = ("insurance_code", "document", "card")
SEXES = frozenset({"", "M", "F", "O"})
LONGEST_NAME = 400
# Issuer of the keys that stand as Patient ID at the root over all institutions; what such a key looks like.
PROVINCE_ISSUER = "PROVINCE"
PERSON_KEY = re.compile(r"[A-Z2-7]{16}")


class IdentityField(StrEnum):
    """What is shown masked, and unmasked for a reason."""

    NAME = "name"
    RESIDENT_ID = "resident_id"
    INSURANCE_CODE = "insurance_code"
    DOCUMENT = "document"
    PHONE = "phone"


@dataclass(frozen=True)
class PatientFacts:
    """What a HIS or the desk says of a patient. None: nothing is said, what is known stays; empty: there is none.

    ``name`` is a PN value (PS3.5 §6.2.1) or a plain name; ``sex`` as DICOM has it: M, F, O. ``card`` is the token that
    the card's platform resolved, never the QR itself (policy P4).
    """

    name: str | None = None
    birth_date: date | None = None
    sex: str | None = None
    resident_id: str | None = field(default=None, repr=False)
    insurance_code: str | None = field(default=None, repr=False)
    document_type: str | None = None
    document: str | None = field(default=None, repr=False)
    card: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    is_staff: bool | None = None


def checked(facts: PatientFacts, *, document_types: frozenset[str]) -> PatientFacts:
    """The same in the form that is kept. From a resident ID come birth date and sex where neither is said.

    Raises:
        IdentityMalformed: something is not of the form that it must have; ``facts["field"]`` names it.
    """
    said = {
        each.name: re.sub(r"\s", "", value) if each.name in _CODES else _levelled(value)
        for each in fields(facts)
        if isinstance(value := getattr(facts, each.name), str)
    }
    facts = replace(facts, **said)  # type: ignore[arg-type]
    facts = _with_resident_id(facts)
    _require(not facts.phone or bool(_PHONE.fullmatch(facts.phone)), "phone")
    _require(facts.sex is None or facts.sex in SEXES, "sex")
    _require(facts.name is None or len(facts.name) <= LONGEST_NAME, "name")
    for name in _CODES:
        value = getattr(facts, name)
        _require(not value or bool(_CODE.fullmatch(value)), name)
    if facts.document:
        _require(facts.document_type in document_types, "document_type")
    if facts.birth_date is not None:
        _require(date(1850, 1, 1) <= facts.birth_date <= date(2200, 1, 1), "birth_date")
    return facts


def phone_digits(text: str) -> str:
    """A phone number as it is kept: digits, without +86."""
    levelled = unicodedata.normalize("NFKC", text)
    found = re.sub(r"[\s().\-]", "", levelled)
    return re.sub(r"^(\+86|0086)", "", found)


def _levelled(value: str) -> str:
    return unicodedata.normalize("NFC", value.replace("\x00", "")).strip()


def _with_resident_id(facts: PatientFacts) -> PatientFacts:
    if facts.phone:
        facts = replace(facts, phone=phone_digits(facts.phone))
    if facts.sex:
        facts = replace(facts, sex=facts.sex.upper())
    if not facts.resident_id:
        return facts
    try:
        found = parse_resident_id(unicodedata.normalize("NFKC", facts.resident_id))
    except MalformedResidentId as error:
        raise IdentityMalformed(str(error), field="resident_id") from None
    return replace(
        facts,
        resident_id=found.number,
        birth_date=facts.birth_date or found.birth_date,
        sex=facts.sex or ("M" if found.is_male else "F"),
    )


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise IdentityMalformed(f"{name} is not of the form that it must have.", field=name)
