"""Matching keys against one header in the DICOM JSON model: instances have no row (PS3.4 §C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from common.dicom.names import name_grams, query_grams
from common.dicom.uids import is_valid_uid
from common.dicomweb.server import BadRequest
from sharing.dicomweb.matching import day_of, ends, few, listed, time_of
from sharing.dicomweb.query import EMPTY

Attributes = Mapping[str, Any]
Test = Callable[[Any], bool]
_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_UNMATCHED = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN", "AT"})
_ANY_CASE = frozenset({"00081030", "0008103E", "00180015"})  # as in the index


def can_match(path: str) -> bool:
    """Whether an attribute can be a key: a standard one whose values are text, numbers, names or days."""
    tag = int(path[-8:], 16)
    return dictionary_has_tag(tag) and dictionary_VR(tag)[:2] not in _UNMATCHED


def matcher(path: str, value: str, *, empty_values: bool) -> Callable[[Attributes], bool]:
    """Whether a header has a value that matches, within any item where the path leads into a sequence.

    Raises:
        BadRequest: the value has not the form of its VR.
    """
    *sequences, tag = path.split(".")
    if empty_values and value.strip() == EMPTY:
        return lambda header: not any(_values(header, sequences, tag))
    if value.strip("*\\ ") == "":
        return lambda _: True
    test = _test(tag, value)
    return lambda header: any(test(each) for each in _values(header, sequences, tag))


def _values(header: Attributes, sequences: list[str], tag: str) -> Iterator[Any]:
    if sequences:
        for item in header.get(sequences[0], {}).get("Value") or ():
            if isinstance(item, Mapping):
                yield from _values(item, sequences[1:], tag)
        return
    for value in header.get(tag, {}).get("Value") or ():
        if value is not None and value != "":
            yield value


def _test(tag: str, value: str) -> Test:
    vr = dictionary_VR(int(tag, 16))[:2]
    if vr == "UI":
        return _uid_test(value)
    if vr == "DA":
        return _range_test(ends(value, day_of), day_of)
    if vr == "TM":
        return _time_test(value)
    if vr in _NUMBERS:
        return _number_test(value)
    if vr == "PN":
        return _name_test(value)
    pattern = wildcard(value, re.IGNORECASE if tag in _ANY_CASE else 0)
    return lambda found: pattern.fullmatch(str(found)) is not None


def _uid_test(value: str) -> Test:
    wanted = {each.strip() for each in re.split(r"[\\,]", value) if each.strip()}
    if not all(is_valid_uid(each) for each in wanted):
        raise BadRequest("A UID in the search is not valid.")
    return wanted.__contains__


def _range_test(span: tuple[Any, Any], read: Callable[[str], Any]) -> Test:
    first, last = span

    def within(found: Any) -> bool:
        try:
            value = read(str(found).strip())
        except BadRequest:
            return False
        return (first is None or first <= value) and (last is None or value <= last)

    return within


def _time_test(value: str) -> Test:
    first, last = ends(value, time_of)
    last = last if last is None or "." in last else last + "9" * 6
    return _range_test((first, last), time_of)


def _number_test(value: str) -> Test:
    try:
        wanted = {float(each) for each in few(listed(value))}
    except ValueError as error:
        raise BadRequest("A number in the search is not a number.") from error

    def equals(found: Any) -> bool:
        try:
            return float(found) in wanted
        except (TypeError, ValueError):
            return False

    return equals


def _name_test(value: str) -> Test:
    """By letter in any component group, or by the words that names are searched by."""
    patterns = [wildcard(each.rstrip("^ "), re.IGNORECASE) for each in few(listed(value))]
    words = [grams for each in listed(value) if "^" not in each and (grams := query_grams(each))]

    def matches(found: Any) -> bool:
        groups = (
            [str(each) for each in found.values()] if isinstance(found, Mapping) else [str(found)]
        )
        plain = [each.rstrip("^ ") for each in groups]
        if any(pattern.fullmatch(each) for pattern in patterns for each in plain):
            return True
        grams = set(name_grams("=".join(groups)))
        return any(grams.issuperset(each) for each in words)

    return matches


def wildcard(value: str, flags: int = 0) -> re.Pattern[str]:
    """A list of values, each by ``*`` and ``?`` (PS3.4 §C.2.2.2.4)."""
    several = "|".join(_piecewise(each.strip()) for each in few(listed(value)))
    return re.compile(several, re.DOTALL | flags)


def _piecewise(value: str) -> str:
    """A regular expression that never tries a place twice.

    Between two stars the first occurrence is always good enough, so each piece is an atomic group: plain ``.*`` for
    every star would let a few of them keep a processor busy for hours.
    """
    first, *others = (
        "".join("." if sign == "?" else re.escape(sign) for sign in piece)
        for piece in value.split("*")
    )
    if not others:
        return first
    middle = "".join(f"(?>.*?{piece})" for piece in others[:-1] if piece)
    return f"{first}{middle}.*{others[-1]}"
