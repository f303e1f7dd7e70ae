"""Matching keys as conditions on the index (PS3.4 §C.2.2.2 Attribute Matching, 2024e)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, TypeVar

from django.db.models import F, Func, Q, TextField, Value
from django.db.models.functions import Collate

from common.dicom.names import query_grams
from common.dicom.uids import is_valid_uid
from common.dicomweb.server import BadRequest

T = TypeVar("T")
Condition = Callable[[str, str], Q]  # (field, value)

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?")
_END_OF_TIME = "235959.999999"
# Each is a regular expression that the database tries on every row; it keeps some 30 compiled.
_MOST_PATTERNS = 30


def text(field: str, value: str) -> Q:
    """Single value or wildcard matching; a list matches any of its values."""
    values = _values(value)
    _few(each for each in values if _has_wildcard(each))
    return _any(_one_text(field, each) for each in values)


def text_any_case(field: str, value: str) -> Q:
    """As ``text``, and letter case does not count: descriptions are typed by people."""
    values = _few(_values(value))
    return _any(Q(**{f"{field}__iregex": f"^{_regex(each.strip())}$"}) for each in values)


def uids(field: str, value: str) -> Q:
    """UID list matching; commas and backslashes both separate."""
    wanted = [each.strip() for each in re.split(r"[\\,]", value) if each.strip()]
    if not all(is_valid_uid(each) for each in wanted):
        raise BadRequest("A UID in the search is not valid.")
    return Q(**{f"{field}__in": wanted})


def number(field: str, value: str) -> Q:
    wanted = [each.strip() for each in _values(value)]
    if not all(re.fullmatch(r"[+-]?\d{1,9}", each, re.ASCII) for each in wanted):
        raise BadRequest("A number in the search is not a whole number.")
    return Q(**{f"{field}__in": [int(each) for each in wanted]})


def day_range(field: str, value: str) -> Q:
    """One day, or a range that is open at one end at most."""
    first, last = _ends(value, _day)
    if first == last:
        return Q(**{field: first})
    condition = Q()
    if first is not None:
        condition &= Q(**{f"{field}__gte": first})
    if last is not None:
        condition &= Q(**{f"{field}__lte": last})
    return condition


def time_range(field: str, value: str) -> Q:
    """Times compare as text, digit by digit; ``10`` as an end means until 10:59:59.999999."""
    first, last = _ends(value, _time)
    # Byte order whatever the database's locale is; colons of old writers are taken out.
    times = Collate(
        Func(F(field), Value(":"), Value(""), function="replace", output_field=TextField()), "C"
    )
    condition = ~Q(**{field: ""})
    if first:
        condition &= _compares(times, "gte", first)
    if last:
        condition &= _compares(times, "lte", last + "9" * 6 if "." not in last else last)
    return condition


def modalities(field: str, value: str) -> Q:
    """Any of the listed modalities stands in the study."""
    wanted = [each.strip().upper() for each in re.split(r"[\\,]", value) if each.strip()]
    _few(each for each in wanted if _has_wildcard(each))
    plain = [each for each in wanted if not _has_wildcard(each)]
    condition = Q(**{f"{field}__overlap": plain}) if plain else Q(pk__in=[])
    joined = Func(F(field), Value("\\"), function="array_to_string", output_field=TextField())
    for each in wanted:
        if _has_wildcard(each):
            one = _regex(each, anything=r"[^\\]")
            pattern = rf"(^|\\){one}(\\|$)"
            condition |= _compares(joined, "regex", pattern)
    return condition


def person_name(field: str, value: str) -> Q:
    """A name in any of its component groups: literal, by wildcard; letter case does not count."""
    return _any(_one_name(field, each) for each in _few(_values(value)))


def patient_name(value: str, *, prefix: str = "") -> Q:
    """As ``person_name``; a name is also found by Han characters, pinyin and initials."""
    condition = person_name(f"{prefix}patient_name", value)
    for each in _values(value):
        grams = query_grams(each)
        if grams:
            condition |= Q(**{f"{prefix}name_grams__contains": grams})
    return condition


def combine(
    keys: Mapping[str, str], table: Mapping[str, tuple[str, Condition]], *, prefix: str = ""
) -> Q:
    """All keys that ``table`` knows, as one condition; ``prefix`` leads to the related row."""
    condition = Q()
    for tag, value in keys.items():
        if tag in table:
            field, matching = table[tag]
            condition &= matching(prefix + field, value)
    return condition


def _values(value: str) -> list[str]:
    return [each for each in value.split("\\") if each]


def _few(patterns: Iterable[str]) -> list[str]:
    """The patterns, if they are few enough to be tried on every row.

    Raises:
        BadRequest: they are not.
    """
    found = list(patterns)
    if len(found) > _MOST_PATTERNS:
        raise BadRequest(f"A list in the search has more than {_MOST_PATTERNS} patterns.")
    return found


def _any(conditions: Iterable[Q]) -> Q:
    joined = Q()
    for condition in conditions:
        joined |= condition
    return joined


def _has_wildcard(value: str) -> bool:
    return "*" in value or "?" in value


def _one_text(field: str, value: str) -> Q:
    value = value.strip()
    if value.strip("*") == "":
        return Q()
    if not _has_wildcard(value):
        return Q(**{field: value})
    if value.endswith("*") and not _has_wildcard(value[:-1]):
        return Q(**{f"{field}__startswith": value[:-1]})
    return Q(**{f"{field}__regex": f"^{_regex(value)}$"})


def _one_name(field: str, value: str) -> Q:
    value = value.strip().rstrip("^")
    if value.strip("*") == "":
        return Q()
    pattern = rf"(^|=){_regex(value, anything='[^=]')}\^*(=|$)"
    if "=" in value:
        pattern = rf"^{_regex(value)}[=^]*$"
    return Q(**{f"{field}__iregex": pattern})


def _regex(value: str, *, anything: str = ".") -> str:
    """The pattern in PostgreSQL's advanced regular expressions, every other sign made literal."""
    pieces = {"*": f"{anything}*", "?": anything}
    return "".join(
        pieces.get(each) or (each if each.isalnum() or ord(each) > 127 else f"\\{each}")
        for each in re.sub(r"\*+", "*", value)
    )


def _compares(expression: Any, lookup: str, value: str) -> Q:
    found = expression.get_lookup(lookup)
    if found is None:
        raise BadRequest("This matching is not supported.")
    return Q(found(expression, value))


def _ends(value: str, read: Callable[[str], T]) -> tuple[T | None, T | None]:
    text_value = value.strip()
    if "-" not in text_value:
        only = read(text_value)
        return only, only
    first, _, last = text_value.partition("-")
    if not first.strip() and not last.strip():
        raise BadRequest("A range in the search has no end.")
    return (
        read(first.strip()) if first.strip() else None,
        read(last.strip()) if last.strip() else None,
    )


def _day(value: str) -> date:
    found = _DATE.fullmatch(value)
    try:
        year, month, day = map(int, found.groups() if found else ())
        return date(year, month, day)
    except ValueError as error:
        raise BadRequest("A date in the search is not of the form YYYYMMDD.") from error


def _time(value: str) -> str:
    if _TIME.fullmatch(value) is None or value.replace(":", "") > _END_OF_TIME:
        raise BadRequest("A time in the search is not of the form HHMMSS.FFFFFF.")
    return value.replace(":", "")
