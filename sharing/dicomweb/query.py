"""Search parameters, read once (PS3.18 §8.3.4 and §10.6.1, 2024e)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_dict, tag_for_keyword

from common.dicomweb.server import BadRequest

if TYPE_CHECKING:
    from django.http import QueryDict

MAX_RESULTS = 1_000
MORE_RESULTS = "There are additional results that can be requested."
_MAX_OFFSET = 1_000_000
_MAX_VALUE_LENGTH = 4_000  # a list of some 60 UIDs
_MAX_INCLUDED = 500
_MAX_NAMED = 20  # a header line of some kilobytes is refused by clients and proxies
_NOT_KEYS = {"limit", "offset", "includefield", "fuzzymatching", "accept", "charset"}


@dataclass
class Search:
    """What is searched for: values by 8-digit tag, the page, and what was not understood."""

    keys: dict[str, str] = field(default_factory=dict)
    include: set[str] = field(default_factory=set)
    include_all: bool = False
    limit: int | None = None
    offset: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def page_size(self) -> int:
        return MAX_RESULTS if self.limit is None else min(self.limit, MAX_RESULTS)

    def ignore(self, name: str) -> None:
        """Say that a parameter took no part, so that nobody takes the answer for narrower."""
        if len(self.warnings) < _MAX_NAMED:
            shown = name if name.isascii() and name.isalnum() and len(name) <= 64 else ""
            named = shown or "in an unknown form"
            self.warnings.append(f"The parameter {named} is not supported here and was ignored.")
        elif len(self.warnings) == _MAX_NAMED:
            self.warnings.append("Further parameters are not supported here and were ignored.")


def parse_search(parameters: QueryDict, *, matchable: frozenset[str]) -> Search:
    """Read the parameters of a search. Keywords and 8-digit tags may be mixed.

    A parameter that is no matching key of this resource is ignored and named in a warning.
    An empty value matches everything (universal matching).

    Raises:
        BadRequest: limit, offset, or the form of a value is not valid.
    """
    search = Search()
    for name in parameters:
        values = [value for value in parameters.getlist(name) if value.strip()]
        if name in _NOT_KEYS:
            _read_option(search, name, values)
            continue
        tag = tag_of(name)
        if tag is None or tag not in matchable:
            search.ignore(name)
            continue
        if values:
            _add_key(search, name, tag, values)
    return search


def tag_of(name: str) -> str | None:
    """``GGGGEEEE`` of a keyword or of an 8-digit tag; none for anything else."""
    if len(name) == 8 and all(each in "0123456789abcdefABCDEF" for each in name):
        return name.upper()
    tag = tag_for_keyword(name) if name in keyword_dict else None
    return None if tag is None else f"{tag:08X}"


def _add_key(search: Search, name: str, tag: str, values: list[str]) -> None:
    # A list comes as a,b or a\b or as the same parameter again.
    joined = "\\".join(values)
    if len(joined) > _MAX_VALUE_LENGTH or "\x00" in joined:
        raise BadRequest(
            f"The value of {name} is too long or holds characters that are not allowed."
        )
    search.keys[tag] = f"{search.keys[tag]}\\{joined}" if tag in search.keys else joined


def _read_option(search: Search, name: str, values: list[str]) -> None:
    if not values:
        return
    if name == "limit":
        search.limit = _number(name, values[-1], most=2**31)
    elif name == "offset":
        search.offset = _number(name, values[-1], most=_MAX_OFFSET)
    elif name == "fuzzymatching":
        if values[-1].lower() not in {"true", "false"}:
            raise BadRequest("fuzzymatching is true or false.")
        # Names are found by pinyin and initials with and without it, so there is nothing to switch.
    elif name == "includefield":
        wanted = [each.strip() for value in values for each in value.split(",")][:_MAX_INCLUDED]
        search.include_all = search.include_all or "all" in wanted
        search.include.update(tag for tag in map(tag_of, wanted) if tag)


def _number(name: str, text: str, *, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise BadRequest(f"{name} is not a whole number of 0 or more.")
    number = int(text)
    if number > most:
        raise BadRequest(f"{name} is larger than {most}.")
    return number
