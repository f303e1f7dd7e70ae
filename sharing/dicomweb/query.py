"""Search parameters, read once (PS3.18 §8.3.4 and §10.6.1, 2024e)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_dict, tag_for_keyword

from common.dicomweb.server import BadRequest
from common.errors import DomainError

if TYPE_CHECKING:
    from django.http import QueryDict

MAX_RESULTS = 1_000
MORE_RESULTS = "There are additional results that can be requested."
DEEPEST = 100_000  # results that may be skipped: the server walks over each
_MAX_VALUE_LENGTH = 4_000  # a list of some 60 UIDs
_MAX_INCLUDED = 500
_MAX_DEPTH = 4
_MAX_NAMED = 20  # a header line of some kilobytes is refused by clients and proxies
_NO_MULTIPLE_VALUES = (
    "The multiplevaluematching parameter is not supported."
    " Multiple Value Matching has not been performed."
)
EMPTY = '""'  # Empty Value Matching (PS3.4 §C.2.2.2.7)


class SearchTooBroad(DomainError):
    """The search asks for more than the server will look through (PS3.18 §10.6.3.1, 413)."""

    code = "search-too-broad"


@dataclass
class Search:
    """What is searched for: values by path of 8-digit tags, the page, and what was not understood.

    ``fuzzy`` is none where the parameter was not given: names are then also found by our extension.
    """

    keys: dict[str, str] = field(default_factory=dict)
    include: set[str] = field(default_factory=set)
    include_all: bool = False
    limit: int | None = None
    offset: int = 0
    fuzzy: bool | None = None
    empty_values: bool = False
    federated: bool = False  # ask the hospitals first; our own, no parameter of the standard
    warnings: list[str] = field(default_factory=list)

    @property
    def page_size(self) -> int:
        return MAX_RESULTS if self.limit is None else min(self.limit, MAX_RESULTS)

    @property
    def unbounded(self) -> bool:
        """Neither a key nor a limit: everything is asked for."""
        return not self.keys and self.limit is None

    def wants(self, tag: str) -> bool:
        """Whether an attribute beyond the standard's table was asked for."""
        return self.include_all or tag in self.include

    def ignore(self, name: str) -> None:
        """Say that a parameter took no part, so that nobody takes the answer for narrower."""
        if len(self.warnings) < _MAX_NAMED:
            shown = name if name.replace(".", "").isalnum() and name.isascii() else ""
            named = shown if 0 < len(shown) <= 64 else "in an unknown form"
            self.warnings.append(f"The parameter {named} is not supported here and was ignored.")
        elif len(self.warnings) == _MAX_NAMED:
            self.warnings.append("Further parameters are not supported here and were ignored.")


def parse_search(parameters: QueryDict, *, matchable: Callable[[str], bool]) -> Search:
    """Read the parameters of a search. Keywords and 8-digit tags may be mixed, in sequences too.

    A parameter that is no matching key of this resource is ignored and named in a warning.
    An empty value matches everything (universal matching).

    Raises:
        BadRequest: limit, offset, or the form of a value is not valid.
        SearchTooBroad: more results are to be skipped than the server walks over.
    """
    search = Search()
    for name in parameters:
        values = [value for value in parameters.getlist(name) if value.strip()]
        if option := _OPTIONS.get(name):
            if values:
                option(search, values)
            continue
        path = path_of(name)
        if path is None or not matchable(path):
            search.ignore(name)
        elif values:
            _add_key(search, name, path, values)
    return search


def path_of(name: str) -> str | None:
    """``GGGGEEEE`` of a keyword or tag, ``GGGGEEEE.GGGGEEEE`` within a sequence; none for anything else."""
    words = name.split(".")
    if len(words) > _MAX_DEPTH:
        return None
    tags = [tag_of(word) for word in words]
    return None if None in tags else ".".join(tag for tag in tags if tag)


def tag_of(name: str) -> str | None:
    """``GGGGEEEE`` of a keyword or of an 8-digit tag; none for anything else."""
    if len(name) == 8 and all(each in "0123456789abcdefABCDEF" for each in name):
        return name.upper()
    tag = tag_for_keyword(name) if name in keyword_dict else None
    return None if tag is None else f"{tag:08X}"


def _add_key(search: Search, name: str, path: str, values: list[str]) -> None:
    # A list comes as a,b or a\b or as the same parameter again.
    joined = "\\".join(values)
    if path in search.keys:
        joined = f"{search.keys[path]}\\{joined}"
    if len(joined) > _MAX_VALUE_LENGTH or "\x00" in joined:
        raise BadRequest(
            f"The value of {name} is too long or holds characters that are not allowed."
        )
    search.keys[path] = joined


def _limit(search: Search, values: list[str]) -> None:
    search.limit = _number("limit", values[-1], most=2**31)


def _offset(search: Search, values: list[str]) -> None:
    search.offset = _number("offset", values[-1], most=2**31)
    if search.offset > DEEPEST:
        raise SearchTooBroad(
            f"At most {DEEPEST} results can be skipped. Narrow the search instead, for example by StudyDate."
        )


def _includefield(search: Search, values: list[str]) -> None:
    wanted = [each.strip() for value in values for each in value.split(",")][:_MAX_INCLUDED]
    search.include_all = search.include_all or "all" in wanted
    search.include.update(path[:8] for path in map(path_of, wanted) if path)


def _fuzzymatching(search: Search, values: list[str]) -> None:
    search.fuzzy = _flag("fuzzymatching", values[-1])


def _emptyvaluematching(search: Search, values: list[str]) -> None:
    search.empty_values = _flag("emptyvaluematching", values[-1])


def _multiplevaluematching(search: Search, values: list[str]) -> None:
    if _flag("multiplevaluematching", values[-1]):
        search.warnings.append(_NO_MULTIPLE_VALUES)


def _federated(search: Search, values: list[str]) -> None:
    search.federated = _flag("federated", values[-1])


def _elsewhere(search: Search, values: list[str]) -> None:
    """Read where media types are negotiated."""


_OPTIONS: dict[str, Callable[[Search, list[str]], None]] = {
    "limit": _limit,
    "offset": _offset,
    "includefield": _includefield,
    "fuzzymatching": _fuzzymatching,
    "emptyvaluematching": _emptyvaluematching,
    "multiplevaluematching": _multiplevaluematching,
    "federated": _federated,
    "accept": _elsewhere,
    "charset": _elsewhere,
}


def _flag(name: str, text: str) -> bool:
    value = {"true": True, "false": False}.get(text.strip().lower())
    if value is None:
        raise BadRequest(f"{name} is true or false.")
    return value


def _number(name: str, text: str, *, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise BadRequest(f"{name} is not a whole number of 0 or more.")
    number = int(text)
    if number > most:
        raise BadRequest(f"{name} is larger than {most}.")
    return number
