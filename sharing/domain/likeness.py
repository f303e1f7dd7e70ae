"""How likely two local patients are one person: a score for a reader, never a decision (policy section 4).

A name alone can never reach the queue, and two different resident IDs are two persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from common.dicom.names import full_names

REVIEWED_FROM = 60


class Ground(StrEnum):
    """Which facts agree or differ: words for the reader, no values."""

    NAME_SAME = "name-same"
    NAME_ALIKE = "name-alike"  # the same pinyin
    NAME_DIFFERS = "name-differs"
    BIRTH_DATE_SAME = "birth-date-same"
    BIRTH_DATE_DIFFERS = "birth-date-differs"
    SEX_SAME = "sex-same"
    SEX_DIFFERS = "sex-differs"
    PHONE_SAME = "phone-same"
    NUMBER_SAME = "number-same"  # in one institution, of two issuers
    RESIDENT_ID_SAME = "resident-id-same"
    RESIDENT_ID_DIFFERS = "resident-id-differs"
    INSURANCE_CODE_SAME = "insurance-code-same"
    DOCUMENT_SAME = "document-same"
    TAKEN_APART = "taken-apart"  # were linked, and somebody took them apart


_WEIGHT = {
    Ground.NAME_SAME: 35,
    Ground.NAME_ALIKE: 25,
    Ground.NAME_DIFFERS: -15,
    Ground.BIRTH_DATE_SAME: 30,
    Ground.BIRTH_DATE_DIFFERS: -25,
    Ground.SEX_SAME: 5,
    Ground.SEX_DIFFERS: -25,
    Ground.PHONE_SAME: 25,
    Ground.NUMBER_SAME: 30,
    Ground.RESIDENT_ID_SAME: 90,
    Ground.RESIDENT_ID_DIFFERS: -200,
    Ground.INSURANCE_CODE_SAME: 90,
    Ground.DOCUMENT_SAME: 80,
}
_IDENTITIES = (
    ("resident_id", Ground.RESIDENT_ID_SAME),
    ("insurance_code", Ground.INSURANCE_CODE_SAME),
    ("document", Ground.DOCUMENT_SAME),
)


@dataclass(frozen=True)
class Traits:
    """What is compared of a local patient; identities as keyed hashes."""

    institution_id: int
    issuer: str = ""
    number: str = ""
    name: str = ""
    birth_date: date | None = None
    sex: str = ""
    resident_id: bytes | None = None
    insurance_code: bytes | None = None
    document: bytes | None = None
    phone: bytes | None = None


@dataclass(frozen=True)
class Likeness:
    """``score`` from 0 to 100."""

    score: int
    grounds: tuple[Ground, ...]

    @property
    def worth_review(self) -> bool:
        return self.score >= REVIEWED_FROM


def compare(one: Traits, other: Traits) -> Likeness:
    """What agrees, what differs, and how much that says."""
    grounds = [
        *_of_identities(one, other),
        *_of_names(one.name, other.name),
        *_of_birth(one, other),
    ]
    if one.phone and one.phone == other.phone:
        grounds.append(Ground.PHONE_SAME)
    same_number = one.number and one.number == other.number
    if same_number and one.institution_id == other.institution_id:
        grounds.append(Ground.NUMBER_SAME)
    score = sum(_WEIGHT[ground] for ground in grounds)
    return Likeness(min(100, max(0, score)), tuple(grounds))


def contradictions(one: Traits, other: Traits) -> tuple[Ground, ...]:
    """What two registrations of one person cannot have: they are reviewed, whatever else agrees."""
    found = [*_of_identities(one, other), *_of_birth(one, other)]
    against = (Ground.RESIDENT_ID_DIFFERS, Ground.BIRTH_DATE_DIFFERS, Ground.SEX_DIFFERS)
    return tuple(ground for ground in found if ground in against)


def _of_identities(one: Traits, other: Traits) -> list[Ground]:
    found = [
        ground
        for name, ground in _IDENTITIES
        if getattr(one, name) and getattr(one, name) == getattr(other, name)
    ]
    if one.resident_id and other.resident_id and one.resident_id != other.resident_id:
        found.append(Ground.RESIDENT_ID_DIFFERS)
    return found


def _of_names(one: str, other: str) -> list[Ground]:
    if not (one and other):
        return []
    first, second = full_names(one), full_names(other)
    if first.written & second.written:
        return [Ground.NAME_SAME]
    if first.spoken & second.spoken:
        return [Ground.NAME_ALIKE]
    return [Ground.NAME_DIFFERS]


def _of_birth(one: Traits, other: Traits) -> list[Ground]:
    found: list[Ground] = []
    if one.birth_date and other.birth_date:
        same = one.birth_date == other.birth_date
        found.append(Ground.BIRTH_DATE_SAME if same else Ground.BIRTH_DATE_DIFFERS)
    if {one.sex, other.sex} <= {"M", "F"}:
        found.append(Ground.SEX_SAME if one.sex == other.sex else Ground.SEX_DIFFERS)
    return found
