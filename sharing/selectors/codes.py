"""Names and codes of institutions by id, from memory: a page of studies names one in each row."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from common.kept import Kept
from hospitals.selectors.institutions import list_codes

_KEEP_S = 30.0
_kept: Kept[str, dict[int, Entry]] = Kept(entries=1, keep_s=_KEEP_S)


class Entry(NamedTuple):
    """What answers say of an institution."""

    code: str
    name: str


def entry(institution_id: int) -> Entry:
    """Of an institution that has a row; a new one is looked for at once."""
    found = _kept.get("all")
    if found is None or institution_id not in found:
        found = _look()
    return found[institution_id]


def entries() -> dict[int, Entry]:
    """Every institution."""
    return _kept.get("all") or _look()


def id_of(code: str, among: Collection[int] | None = None) -> int | None:
    """The institution of this code, if it is one of ``among`` where some are given."""
    for found in (_kept.get("all"), None):
        for number, each in (found or _look()).items():
            if each.code == code and (among is None or number in among):
                return number
    return None


def count() -> int:
    """How many institutions there are, at least one."""
    return max(1, len(_kept.get("all") or _look()))


def forget() -> None:
    """Look again at the next question, in this process."""
    _kept.clear()


def _look() -> dict[int, Entry]:
    found = {number: Entry(code, name) for number, code, name in list_codes()}
    _kept.put("all", found)
    return found
