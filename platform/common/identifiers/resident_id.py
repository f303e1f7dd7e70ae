"""Resident ID number (居民身份证号, GB 11643-1999; policy P1): check digit, birth date, sex."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_SHAPE = re.compile(r"[0-9]{17}[0-9X]")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"


class MalformedResidentId(ValueError):
    """Not a resident ID: the text says which rule it breaks, and never quotes the number."""


@dataclass(frozen=True)
class ResidentId:
    """A number that passed every check of policy P1."""

    number: str
    area: str
    birth_date: date
    is_male: bool

    def __repr__(self) -> str:
        return "ResidentId(…)"  # a traceback must not quote it


def check_character(first_seventeen: str) -> str:
    """The 18th character that belongs to 17 digits: weighted sum modulo 11."""
    total = sum(
        weight * int(digit) for weight, digit in zip(_WEIGHTS, first_seventeen, strict=True)
    )
    return _CHECKS[total % 11]


def parse_resident_id(text: str) -> ResidentId:
    """Read a resident ID; surrounding blanks and a lower-case x are accepted, X is what is kept.

    Raises:
        MalformedResidentId: another length or other characters, a wrong check digit, an impossible birth date.
    """
    number = text.strip().upper()
    if not _SHAPE.fullmatch(number):
        raise MalformedResidentId("a resident ID has 17 digits and a digit or X")
    if check_character(number[:17]) != number[17]:
        raise MalformedResidentId("the check digit of the resident ID is wrong")
    try:
        birth_date = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError as error:
        raise MalformedResidentId("the birth date in the resident ID does not exist") from error
    return ResidentId(
        number=number,
        area=number[:6],
        birth_date=birth_date,
        is_male=int(number[16]) % 2 == 1,
    )


def is_valid_resident_id(text: str) -> bool:
    """Whether ``parse_resident_id`` accepts the text."""
    try:
        parse_resident_id(text)
    except MalformedResidentId:
        return False
    return True
