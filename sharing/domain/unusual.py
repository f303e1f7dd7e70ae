"""What is unusual about an access: pure rules. A finding asks a person to look; it accuses nobody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from common.dicom.names import han_readings

# Family names of two characters (复姓); every other one has one.
_COMPOUND = frozenset(
    re.findall(
        "..",
        "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容仲孙钟离长孙宇文司徒鲜于"
        "司空闾丘子车亓官司寇令狐百里呼延东郭南门羊舌微生左丘西门第五轩辕梁丘段干拓跋纳兰歐陽司馬東方諸葛長孫鍾離",
    )
)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_LATIN = re.compile(r"[^\W\d_]+")


class Kind(StrEnum):
    """Why an access is put on the list."""

    EMERGENCY = "emergency"
    MANY_PATIENTS = "many-patients"
    FAMILY_NAME = "family-name"
    STAFF_RECORD = "staff-record"
    ODD_HOURS = "odd-hours"
    OWN_GROUND = "own-ground"


@dataclass(frozen=True)
class Look:
    """One access: who, whose, when."""

    actor_id: int
    person_key: str
    at: datetime


@dataclass(frozen=True)
class Burst:
    """Many patients in a short time: from when to when, and how many different ones."""

    first_at: datetime
    last_at: datetime
    persons: frozenset[str]


def bursts(looks: Iterable[Look], *, patients: int, within: timedelta) -> list[Burst]:
    """Where one account looked at ``patients`` different persons or more ``within`` a stretch of time.

    Stretches that overlap are one burst.
    """
    ordered = sorted(looks, key=lambda look: look.at)
    found: list[Burst] = []
    for window in _windows(ordered, within):
        persons = {look.person_key for look in window}
        if len(persons) < patients:
            continue
        if found and window[0].at <= found[-1].last_at:
            persons |= found[-1].persons
            found[-1] = Burst(found[-1].first_at, window[-1].at, frozenset(persons))
        else:
            found.append(Burst(window[0].at, window[-1].at, frozenset(persons)))
    return found


def _windows(looks: Sequence[Look], within: timedelta) -> Iterator[Sequence[Look]]:
    """The looks of the time before each look, itself included."""
    start = 0
    for end, look in enumerate(looks):
        while look.at - looks[start].at >= within:
            start += 1
        yield looks[start : end + 1]


def same_family(actor_name: str, patient_name: str, *, left_out: Iterable[str] = ()) -> str:
    """The family name that both have, empty for none: by Han characters where both have them, else by how it reads.

    ``patient_name`` is a PN value (PS3.5 §6.2.1); ``actor_name`` is as the account has it: 李娜, or Li Na with the
    family name first or last. What is ``left_out`` is so frequent that it says nothing.
    """
    mine, theirs = _of_actor(actor_name), _of_patient(patient_name)
    both_han = bool(mine.han and theirs.han)  # 王 and 汪 read alike and are two names
    shared = mine.han & theirs.han if both_han else mine.read & theirs.read
    unsaid = {name for each in left_out for name in _spelled(each).all}
    return next((name for name in sorted(shared) if name not in unsaid), "")


def is_odd_hour(hour: int, hours: tuple[int, int] | None) -> bool:
    """Whether an hour lies in the stretch from the first to before the last; it may go over midnight."""
    if hours is None:
        return False
    first, last = hours
    return first <= hour < last if first < last else hour >= first or hour < last


@dataclass(frozen=True)
class _Spelled:
    """A family name as it is written in Han characters, and as it may be read in Latin letters."""

    han: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        return self.han | self.read

    def __or__(self, other: _Spelled) -> _Spelled:
        return _Spelled(self.han | other.han, self.read | other.read)


def _of_patient(person_name: str) -> _Spelled:
    found = _Spelled()
    for group in person_name.split("="):
        family = group.split("^", 1)[0]
        whole = "^" not in group and _HAN.search(family) is not None  # 李娜 without carets
        found |= _spelled(_family(family) if whole else family)
    return found


def _of_actor(name: str) -> _Spelled:
    text = unicodedata.normalize("NFKC", name).strip()
    han = _HAN.findall(text)
    if han:  # 欧阳 娜娜 says itself where the family name ends
        return _spelled(han[0] if len(han) > 1 else _family(han[0]))
    words = [word.casefold() for word in _LATIN.findall(text)]
    # Chinese write the family name first, others last: either may be it. One word is no name of a person.
    return _Spelled(read=frozenset({words[0], words[-1]})) if len(words) > 1 else _Spelled()


def _family(han: str) -> str:
    return han[:2] if han[:2] in _COMPOUND and len(han) > 2 else han[:1]


@lru_cache(maxsize=4096)
def _spelled(family: str) -> _Spelled:
    """A family name in every way in which it may be compared."""
    text = unicodedata.normalize("NFKC", family).strip()
    if _HAN.fullmatch(text):
        return _Spelled(frozenset({text}), han_readings(text))
    return _Spelled(read=frozenset({"".join(_LATIN.findall(text)).casefold()} - {""}))
