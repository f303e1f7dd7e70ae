"""One field for whatever a reader has at hand: what was typed is told by its form."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

_RESIDENT_ID = re.compile(r"[0-9]{17}[0-9Xx]")
_PHONE = re.compile(r"(\+?86)?1[3-9][0-9]{9}")
_BLANKS = re.compile(r"[\s-]+")


class Kind(StrEnum):
    """What a value is."""

    AUTO = "auto"
    RESIDENT_ID = "resident-id"
    INSURANCE_CODE = "insurance-code"
    CARD = "card"
    PASSPORT = "passport"
    HMT_PERMIT = "hmt-permit"
    BIRTH = "birth"
    OTHER = "other"
    PHONE = "phone"
    NAME = "name"
    NUMBER = "number"


# Documents of policy P3: the number alone says nothing, its kind belongs to it.
DOCUMENTS = frozenset({Kind.PASSPORT, Kind.HMT_PERMIT, Kind.BIRTH, Kind.OTHER})
# Kinds that lead to a person, wherever it was registered or looked for.
OF_PERSONS = DOCUMENTS | {Kind.RESIDENT_ID, Kind.INSURANCE_CODE, Kind.CARD, Kind.PHONE}


def kind_of(text: str) -> Kind:
    """What was typed: 18 digits of a resident ID, a mobile number, a name, or else a number of a hospital."""
    plain = _BLANKS.sub("", unicodedata.normalize("NFKC", text))
    if _RESIDENT_ID.fullmatch(plain):
        return Kind.RESIDENT_ID
    if _PHONE.fullmatch(plain):
        return Kind.PHONE
    if plain and not any(character.isdigit() for character in plain):
        return Kind.NAME
    return Kind.NUMBER
