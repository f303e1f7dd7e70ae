"""Matching keys as SQL over the index (PS3.4 §C.2.2.2 Attribute Matching, 2024e).

A condition names columns by ``{s}`` (study) and ``{e}`` (series), since it is asked of the other copies of a study too.
Where a pattern cannot be looked up, its parts can: ``sharing_grams`` (migration 0006) is indexed, and the pattern is
tried on what that finds. LIKE never tries a place twice, as some regular expressions would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from common.dicom.uids import is_valid_uid
from common.dicomweb.server import BadRequest
from sharing.dicomweb.frequency import share_of

T = TypeVar("T")

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})", re.ASCII)
_TIME = re.compile(r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?", re.ASCII)
_END_OF_TIME = "235959.999999"
MOST_PATTERNS = 30  # each is tried on every row that is looked at
_MOST_GRAMS = 3


@dataclass(frozen=True)
class Condition:
    """A part of a WHERE clause.

    ``indexed``: an index leads to the rows that match. ``share``: the share of all studies that these are, at most;
    0 where they are few however large the index is, none where nothing is known.
    """

    sql: str
    params: tuple[Any, ...] = ()
    indexed: bool = False
    share: float | None = None

    def of(self, study: str, series: str = "e") -> str:
        """The clause about these table aliases."""
        return self.sql.replace("{s}", study).replace("{e}", series)


Matching = Callable[[str, str], Condition]  # (column, value)
ALWAYS = Condition("TRUE")
NEVER = Condition("FALSE", indexed=True, share=0)


def text(column: str, value: str) -> Condition:
    """Single value or wildcard matching; a list matches any of its values. Upper and lower case differ."""
    return any_of(_text(column, each) for each in listed(value))


def text_in_parts(column: str, value: str) -> Condition:
    """As ``text``, for a column whose parts are indexed."""
    return any_of(_text(column, each, grams=True) for each in listed(value))


def description(column: str, value: str) -> Condition:
    """As ``text``, and letter case does not count: descriptions are typed by people."""
    return any_of(_description(column, each) for each in listed(value))


def word(column: str, value: str) -> Condition:
    """As ``description`` for a column without an index of its parts."""
    return any_of(_description(column, each, grams=False) for each in listed(value))


def uids(column: str, value: str) -> Condition:
    """UID list matching; commas and backslashes both separate."""
    wanted = [each.strip() for each in re.split(r"[\\,]", value) if each.strip()]
    if not all(is_valid_uid(each) for each in wanted):
        raise BadRequest("A UID in the search is not valid.")
    if len(wanted) == 1:
        return Condition(f"{column} = %s", (wanted[0],), indexed=True, share=0)
    return Condition(f"{column} = ANY(%s)", (wanted,), indexed=True, share=0)


def number(column: str, value: str) -> Condition:
    wanted = [each.strip() for each in listed(value)]
    if not all(re.fullmatch(r"[+-]?\d{1,9}", each, re.ASCII) for each in wanted):
        raise BadRequest("A number in the search is not a whole number.")
    return Condition(f"{column} = ANY(%s)", ([int(each) for each in wanted],))


def day_range(column: str, value: str) -> Condition:
    """One day, or a range that is open at one end at most."""
    first, last = ends(value, day_of)
    if first == last:
        return Condition(f"{column} = %s", (first,))
    clauses = [(f"{column} >= %s", first), (f"{column} <= %s", last)]
    given = [(clause, end) for clause, end in clauses if end is not None]
    return Condition(" AND ".join(clause for clause, _ in given), tuple(end for _, end in given))


def time_range(column: str, value: str) -> Condition:
    """Times compare as text, digit by digit; ``10`` as an end means until 10:59:59.999999."""
    first, last = ends(value, time_of)
    # Byte order whatever the database's locale is; colons of old writers are taken out.
    times = f"replace({column}, ':', '') COLLATE \"C\""
    sql, params = f"{column} <> ''", []
    if first:
        sql += f" AND {times} >= %s"
        params.append(first)
    if last:
        sql += f" AND {times} <= %s"
        params.append(last if "." in last else last + "9" * 6)
    return Condition(sql, tuple(params))


def modalities(column: str, value: str) -> Condition:
    """Any of the listed modalities stands in the study."""
    wanted = [each.strip().upper() for each in re.split(r"[\\,]", value) if each.strip()]
    patterns = few(each for each in wanted if has_wildcard(each))
    if any(each.strip("*") == "" for each in patterns):
        return ALWAYS
    found = [
        Condition(f"EXISTS (SELECT FROM unnest({column}) m WHERE m LIKE %s)", (like(each),))
        for each in patterns
    ]
    if plain := [each for each in wanted if not has_wildcard(each)]:
        share = min(1.0, sum(share_of("modalities", [each]) for each in plain))
        found.append(Condition(f"{column} && %s::varchar[]", (plain,), indexed=True, share=share))
    return any_of(found)


def any_of(conditions: Iterable[Condition]) -> Condition:
    """One of these holds; the value was a list."""
    found = few(conditions)
    if not found or ALWAYS in found:
        return ALWAYS
    shares = [each.share for each in found]
    share = None if None in shares else min(1.0, sum(each for each in shares if each is not None))
    return _joined(found, " OR ", indexed=all(each.indexed for each in found), share=share)


def all_of(conditions: Iterable[Condition]) -> Condition:
    found = [each for each in conditions if each is not ALWAYS]
    if not found:
        return ALWAYS
    share = min((each.share for each in found if each.share is not None), default=None)
    return _joined(found, " AND ", indexed=any(each.indexed for each in found), share=share)


def _joined(
    found: Sequence[Condition], sign: str, *, indexed: bool, share: float | None
) -> Condition:
    if len(found) == 1:
        return found[0]
    sql = sign.join(f"({each.sql})" for each in found)
    return Condition(sql, tuple(one for each in found for one in each.params), indexed, share)


def is_empty(column: str) -> Condition:
    """Empty Value Matching (PS3.4 §C.2.2.2.7): nothing is known."""
    return Condition(f"coalesce({column}::text, '') IN ('', '{{}}', '[]')")


def listed(value: str) -> list[str]:
    return [each for each in value.split("\\") if each]


def few(found: Iterable[T]) -> list[T]:
    """The patterns, if they are few enough to be tried on every row.

    Raises:
        BadRequest: they are not.
    """
    patterns = list(found)
    if len(patterns) > MOST_PATTERNS:
        raise BadRequest(f"A list in the search has more than {MOST_PATTERNS} patterns.")
    return patterns


def has_wildcard(value: str) -> bool:
    return "*" in value or "?" in value


def like(value: str) -> str:
    """A pattern of ``*`` and ``?`` (PS3.4 §C.2.2.2.4) for LIKE, every other sign made literal."""
    signs = {"*": "%", "?": "_", "%": "\\%", "_": "\\_", "\\": "\\\\"}
    return "".join(signs.get(each, each) for each in re.sub(r"\*+", "*", value))


def grams_of(pattern: str) -> list[str]:
    """Parts that a text must have to match the pattern: the longest piece's, apart from each other.

    Few, since the planner takes each for independent of the others and so the text for rarer than it is.
    """
    # Other letters than ASCII ones stay, and are left out below.
    plain = "".join(each.lower() if each.isascii() else each for each in pattern)
    pieces = sorted(re.split(r"[*?]+", plain), key=len, reverse=True)
    found: list[str] = []
    for piece in pieces:
        size = 3 if piece.isascii() else 2
        starts = range(0, max(len(piece) - size, 0) + 1, size)
        found += [piece[start : start + size] for start in starts]
        if len(piece) > size and len(piece) % size:
            found.append(piece[-size:])
    return [each for each in found if _is_gram(each)][:_MOST_GRAMS]


def _is_gram(part: str) -> bool:
    # What upper and lower case is beyond ASCII is the database's own view.
    if any(not each.isascii() and each.lower() != each.upper() for each in part):
        return False
    if part.isascii():
        return len(part) in (2, 3)
    return len(part) in (1, 2) and (len(part) == 2 or not part.isascii())


def has_grams(column: str, grams: Sequence[str]) -> Condition:
    """The text has all these parts."""
    share = share_of(column.rpartition(".")[2], grams)
    return Condition(f"sharing_grams({column}) @> %s::text[]", (list(grams),), True, share)


def _text(column: str, value: str, *, grams: bool = False) -> Condition:
    value = value.strip()
    if value.strip("*") == "":
        return ALWAYS
    if not has_wildcard(value):
        return Condition(f"{column} = %s", (value,), indexed=True, share=0)
    if value.endswith("*") and not has_wildcard(value[:-1]):
        return Condition(f"{column} LIKE %s", (like(value),), indexed=True)
    return _pattern(column, value, column, "%s", grams=grams)


def _description(column: str, value: str, *, grams: bool = True) -> Condition:
    value = value.strip()
    if value.strip("*") == "":
        return ALWAYS
    return _pattern(column, value, f"lower({column})", "lower(%s)", grams=grams)


def _pattern(column: str, value: str, compared: str, to: str, *, grams: bool) -> Condition:
    # coalesce() keeps the planner from taking the rarity of the pattern times that of its parts.
    matches = Condition(f"coalesce({compared} LIKE {to}, FALSE)", (like(value),))
    parts = grams_of(value) if grams else []
    return all_of([has_grams(column, parts), matches]) if parts else matches


def ends(value: str, read: Callable[[str], T]) -> tuple[T | None, T | None]:
    """The ends of a range; of a single value it is both.

    Raises:
        BadRequest: neither end is given, or one cannot be read.
    """
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


def day_of(value: str) -> date:
    found = _DATE.fullmatch(value)
    try:
        year, month, day = map(int, found.groups() if found else ())
        return date(year, month, day)
    except ValueError as error:
        raise BadRequest("A date in the search is not of the form YYYYMMDD.") from error


def time_of(value: str) -> str:
    if _TIME.fullmatch(value) is None or value.replace(":", "") > _END_OF_TIME:
        raise BadRequest("A time in the search is not of the form HHMMSS.FFFFFF.")
    return value.replace(":", "")
