"""A search as it is asked for: conditions, page, what goes with the matches, what was ignored (R4 §3.1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q

from common.fhir.errors import FHIRRefusal
from common.fhir.resources import Context, Include, Parameter, ResourceType
from common.fhir.sealing import SEALED, Pairs, seal, unseal
from common.fhir.values import split_list

PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
CURSOR = "_page"
_MAX_PARAMETERS = 50
_MAX_VALUES = 50  # over the whole search: each is a condition that the database tries
_MAX_LENGTH = 4_000
_MAX_NAMED = 20
_SHOWN = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
# subject:Patient.name says of which type the reference is; ours are of one type each.
_TYPED = re.compile(r":[A-Z][A-Za-z]+\.")
# How the answer looks; not part of what is searched for.
_FORMS = frozenset({"_format", "_pretty"})


@dataclass
class Search:
    """What is asked, once read. ``applied`` are the parameters that took part, for the links."""

    condition: Q = field(default_factory=Q)
    size: int = PAGE_SIZE
    after: str = ""
    count_only: bool = False
    total: str = ""
    includes: list[Include] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    applied: Pairs = field(default_factory=list)
    personal: Pairs = field(default_factory=list)

    def link(self, actor_id: int, *, after: str) -> Pairs:
        """The parameters of an address that asks the same, from there on; nothing personal in clear."""
        pairs = list(self.applied)
        if self.personal:
            pairs.append((SEALED, seal(self.personal, actor_id=actor_id)))
        return [*pairs, (CURSOR, after)] if after else pairs


def read_search(kind: ResourceType, context: Context, pairs: Pairs) -> Search:
    """Read the parameters of a search.

    Raises:
        FHIRRefusal: a value has not its form, a modifier is not known, or the search is too wide or too long.
    """
    if len(pairs) > _MAX_PARAMETERS or sum(len(value) for _, value in pairs) > _MAX_LENGTH:
        raise FHIRRefusal("The search has too many or too long parameters.", issue="too-long")
    search = Search()
    reader = _Reader(kind, context, search)
    for name, value in _opened(pairs, context):
        if value.strip() and name not in _FORMS:
            reader.take(name, value)
    if kind.narrowed_by and not reader.named & kind.narrowed_by:
        wanted = ", ".join(sorted(kind.narrowed_by))
        raise FHIRRefusal(f"Say at least one of {wanted}.", issue="too-costly")
    return search


def _opened(pairs: Pairs, context: Context) -> Iterable[tuple[str, str]]:
    for name, value in pairs:
        if name == SEALED:
            yield from unseal(value, actor_id=context.actor.pk)
        else:
            yield name, value


class _Reader:
    def __init__(self, kind: ResourceType, context: Context, search: Search) -> None:
        self._kind, self._context, self._search = kind, context, search
        self._parameters = {each.name: each for each in kind.parameters} | dict(kind.chained)
        self._includes = {f"{kind.name}:{each.name}": each for each in kind.includes}
        self._values = 0
        self.named: set[str] = set()

    def take(self, name: str, value: str) -> None:
        """One parameter: of the page, of the matches, or nobody's."""
        if "\x00" in value:
            raise FHIRRefusal("A value holds characters that are not allowed.")
        if name.startswith("_") and self._take_result(name, value):
            return
        bare, _, modifier = _TYPED.sub(".", name, count=1).partition(":")
        parameter = self._parameters.get(bare)
        if parameter is None:
            self._ignore(name)
            return
        if modifier and modifier not in parameter.modifiers:
            raise FHIRRefusal(f"{bare} is not answered with this modifier.", issue="not-supported")
        self._search.condition &= self._any_of(parameter, value, modifier)
        self.named.add(bare)
        kept = self._search.personal if parameter.personal else self._search.applied
        kept.append((name, value))

    def _any_of(self, parameter: Parameter, value: str, modifier: str) -> Q:
        values = split_list(value)
        self._values += len(values)
        if self._values > _MAX_VALUES:
            raise FHIRRefusal(f"More than {_MAX_VALUES} values in one search.", issue="too-costly")
        joined = Q(pk__in=[])
        for each in values:
            joined |= parameter.condition(self._context, each, modifier)
        return joined

    def _take_result(self, name: str, value: str) -> bool:
        search = self._search
        if name == "_count":
            search.size = _size(value)
            search.count_only = search.count_only or search.size == 0
        elif name == CURSOR:
            search.after = value
            return True  # a link says its own
        elif name == "_summary" and value in {"count", "false"}:
            search.count_only = value == "count"
        elif name == "_total" and value in {"none", "estimate", "accurate"}:
            search.total = value
        elif name == "_include" and value in self._includes:
            search.includes.append(self._includes[value])
        else:
            return False
        search.applied.append((name, value))
        return True

    def _ignore(self, name: str) -> None:
        ignored = self._search.ignored
        if len(ignored) < _MAX_NAMED:
            ignored.append(name if _SHOWN.fullmatch(name) else "(a name of another form)")


def _size(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise FHIRRefusal("_count is not a whole number of 0 or more.")
    return min(int(text), MAX_PAGE_SIZE)
