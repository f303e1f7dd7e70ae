"""Values of search parameters, and their matching with columns (R4 §3.1.1.4, Search Parameter Types)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Q
from django.utils import timezone

from common.fhir.errors import FHIRRefusal

ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
NOTHING = Q(pk__in=[])

_DATE = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6})\d*)?)?"
    r"(?P<zone>Z|[+ -]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
_ONE_DAY = timedelta(days=1)
_END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 (wall clock)


@dataclass(frozen=True)
class Token:
    """``system|code``. ``system`` is None where any will do, empty where there must be none."""

    system: str | None
    code: str

    def meets(self, system: str, code: str, *, any_case: bool = False) -> bool:
        """Whether it names this code; without a code every one of the system."""
        if self.system not in (None, system):
            return False
        if not self.code:
            return bool(self.system)
        return self.code.lower() == code.lower() if any_case else self.code == code


def split_list(text: str) -> list[str]:
    """The values of a list: commas separate, but for those behind a backslash (§3.1.1.4.0.3)."""
    return [each for each in re.findall(r"(?:\\.|[^,\\])+", text, re.DOTALL) if each.strip()]


def plain(text: str) -> str:
    """A value without the backslashes that kept its signs from meaning anything."""
    return re.sub(r"\\([\\,|$])", r"\1", text).strip()


def token(text: str) -> Token:
    """A token as it is given (§3.1.1.4.10)."""
    pieces = re.split(r"(?<!\\)\|", text, maxsplit=1)
    if len(pieces) == 1:
        return Token(None, plain(text))
    return Token(plain(pieces[0]), plain(pieces[1]))


def boolean(text: str) -> bool:
    """``true`` or ``false``.

    Raises:
        FHIRRefusal: anything else.
    """
    code = token(text).code
    if code not in {"true", "false"}:
        raise FHIRRefusal("The value of a parameter is neither true nor false.")
    return code == "true"


def reference_id(text: str, kind: str, *, base: str) -> str:
    """The id that a reference to a ``kind`` of ours names: ``id``, ``Kind/id`` or the absolute address.

    Empty for what is no such reference: it matches nothing, as an id that nobody has.
    """
    value = plain(text)
    value = value.removeprefix(f"{base}/")
    value = value.removeprefix(f"{kind}/")
    return value if ID.fullmatch(value) else ""


def clean(text: str) -> str:
    """Text as FHIR's string and code allow it: no control characters, no blanks at its ends or in a row."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def id_of_code(code: str) -> str:
    """The id of what has a code of ours: an id has no underscore, and a code no full stop (R4 §2.24.0.1)."""
    return code.replace("_", ".")


def reference_code(text: str, kind: str, *, base: str) -> str:
    """As ``reference_id``, for what is named by its code."""
    return code_of_id(reference_id(text, kind, base=base))


def code_of_id(resource_id: str) -> str:
    """The code that ``id_of_code`` made this id of."""
    return resource_id.replace(".", "_")


@dataclass(frozen=True)
class Period:
    """What a date value means: a half-open stretch of the province's wall clock, and how to compare."""

    prefix: str
    first: datetime  # naive: wall clock
    end: datetime

    @property
    def whole_days(self) -> bool:
        """Whether it begins and ends at midnight."""
        return self.first.time() == self.end.time() == time.min


def period(text: str) -> Period:
    """A date as precise as it is given, with a prefix or not (§3.1.1.4.7). Without a zone: the province's.

    Raises:
        FHIRRefusal: no such date, or a prefix that is not answered.
    """
    found = _DATE.fullmatch(plain(text))
    if found is None:
        raise FHIRRefusal(
            "A date is not of the form YYYY-MM-DDThh:mm:ss+zz:zz or a beginning of it."
        )
    prefix = found["prefix"] or "eq"
    if prefix not in PREFIXES:
        raise FHIRRefusal(f"Dates are compared by {', '.join(PREFIXES)}.", issue="not-supported")
    try:
        first = _beginning(found)
        return Period(prefix, first, _end(first, found))
    except (ValueError, OverflowError) as error:
        raise FHIRRefusal("A date does not exist.") from error


def _beginning(found: re.Match[str]) -> datetime:
    numbers = (found[name] for name in ("month", "day"))
    month, day = (int(each or 1) for each in numbers)
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    fraction = int((found["fraction"] or "").ljust(6, "0"))
    wall = datetime(int(found["year"]), month, day, hour, minute, second, fraction)  # noqa: DTZ001 (wall clock)
    if not found["zone"]:
        return wall
    zone = (
        found["zone"].replace(" ", "+").replace("Z", "+00:00")
    )  # a plus in an address reads as a blank
    aware = datetime.fromisoformat(wall.isoformat() + zone)
    return aware.astimezone(timezone.get_default_timezone()).replace(tzinfo=None)


def _end(first: datetime, found: re.Match[str]) -> datetime:
    if first.year == _END_OF_TIME.year:
        return _END_OF_TIME  # "until 9999" is asked by those who want no end
    if found["month"] is None:
        return first.replace(year=first.year + 1)
    if found["day"] is None:
        return (first + timedelta(days=31)).replace(day=1)
    if found["hour"] is None:
        return first + _ONE_DAY
    if found["second"] is None:
        return first + timedelta(minutes=1)
    digits = len(found["fraction"] or "")
    return (
        first + timedelta(seconds=1)
        if not digits
        else first + timedelta(microseconds=10 ** (6 - digits))
    )


def days(field: str, asked: Period) -> Q:
    """Rows whose day, from midnight to midnight, compares so with what is asked."""
    inside = Q(**{f"{field}__gte": _day_from(asked.first), f"{field}__lt": asked.end.date()})
    after = Q(**{f"{field}__gte": asked.end.date()})  # the day ends after the stretch
    before = Q(**{f"{field}__lt": _day_from(asked.first)})  # the day begins before it
    return {
        "eq": inside,
        "ne": before | after,
        "gt": after,
        "lt": before,
        "ge": inside | after,
        "le": inside | before,
        "sa": Q(**{f"{field}__gte": _day_from(asked.end)}),
        "eb": Q(**{f"{field}__lt": asked.first.date()}),
    }[asked.prefix]


def _day_from(moment: datetime) -> date:
    """The first day that begins at this moment or after it."""
    day = moment.date()
    return day if moment.time() == time.min or day == date.max else day + _ONE_DAY


def instants(field: str, asked: Period) -> Q:
    """Rows whose instant compares so with what is asked."""
    zone = timezone.get_default_timezone()
    first, end = asked.first.replace(tzinfo=zone), asked.end.replace(tzinfo=zone)
    inside = Q(**{f"{field}__gte": first, f"{field}__lt": end})
    after, before = Q(**{f"{field}__gte": end}), Q(**{f"{field}__lt": first})
    return compared(asked.prefix, inside=inside, after=after, before=before)


def compared(prefix: str, *, inside: Q, after: Q, before: Q) -> Q:
    """What a prefix means for points in time, which lie inside, after or before the stretch."""
    return {
        "eq": inside,
        "ne": before | after,
        "gt": after,
        "sa": after,
        "lt": before,
        "eb": before,
        "ge": inside | after,
        "le": inside | before,
    }[prefix]


def text(field: str, value: str, modifier: str) -> Q:
    """A string: its beginning whatever the case, ``:contains`` it, or ``:exact`` (§3.1.1.4.8)."""
    lookup = {"": "istartswith", "contains": "icontains", "exact": "exact"}[modifier]
    return Q(**{f"{field}__{lookup}": plain(value)})
