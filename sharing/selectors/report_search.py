"""Reports found by their words, Chinese too, within what the account may see (ADR 0025).

Rare words are found by the index of grams. Words that stand in very many reports are not looked up there: the newest
reports of each visible institution are read until a page is full, which is sooner the more frequent they are, and
``MOST_READ`` of them at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import Q

from common.dates import day_bounds
from sharing.domain.found_text import Span, excerpt, terms_of
from sharing.models import ReportVersion
from sharing.permissions import Basis, Sight, beyond_condition, decide, sight_of, visible

if TYPE_CHECKING:
    from common.accounts.models import User

PAGE = 25
DEEPEST_PAGE = 20
RARE = 5_000  # so many reports are read whole, if need be
_MOST_BEYOND = 5_000
MOST_READ = 40_000  # of the newest, for words that stand in many reports and together in few
_AT_ONCE, _SHORTEST_STRETCH = 1_000, 20
_TEXT = "sharing_report_text(v.title, v.findings, v.impression)"
# One reading of the index, which stops as soon as they are too many.
_RARE = f"""
SELECT v.id FROM sharing_reportversion v
WHERE v.is_current AND sharing_grams({_TEXT}) @> %s::text[] LIMIT {RARE + 1}
"""  # noqa: S608 (constants)
# The next newest reports of each place, and which of them hold the words. The reading is bounded before the words are
# looked at: the planner takes them for rare and would read and sort a whole institution.
_NEXT_OF_EACH = """
SELECT place.id, v.id, v.reported_at, r.study_id IS NOT NULL AND {narrow}
FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[]) AS place(id, reported_at, last) CROSS JOIN LATERAL (
    SELECT * FROM sharing_reportversion v
    WHERE v.is_current AND v.institution_id = place.id AND (v.reported_at, v.id) < (place.reported_at, place.last)
    ORDER BY v.reported_at DESC, v.id DESC LIMIT %s
) v JOIN sharing_report r ON r.id = v.report_id
"""
_BEYOND = """
SELECT v.id FROM (
    SELECT s.id FROM sharing_study s WHERE {beyond} LIMIT {most}
) s JOIN sharing_report r ON r.study_id = s.id JOIN sharing_reportversion v ON v.report_id = r.id AND v.is_current
WHERE {narrow} ORDER BY v.reported_at DESC, v.id DESC LIMIT %s
"""


@dataclass(frozen=True)
class ReportSearch:
    """What is looked for. All words; the days are those of the report."""

    text: str = ""
    since: date | None = None
    until: date | None = None
    institution_code: str = ""
    status: str = ""
    page: int = 1

    @property
    def terms(self) -> list[str]:
        return terms_of(self.text)


@dataclass(frozen=True)
class FoundReport:
    """A hit: the newest version of a report, and the words in their surroundings."""

    version: ReportVersion
    spans: list[Span]
    basis: Basis | None


@dataclass(frozen=True)
class ReportPage:
    """One page of hits, the newest first."""

    search: ReportSearch
    rows: list[FoundReport] = field(default_factory=list)
    more: bool = False


def search_reports(*, actor: User, search: ReportSearch) -> ReportPage:
    """The newest reports that hold every word; nothing where no word is left that can be looked for."""
    terms, sight = search.terms, sight_of(actor)
    if not terms or not sight.sees_something:
        return ReportPage(search)
    start = (search.page - 1) * PAGE
    ids = _rare(terms)
    if ids is None:
        ids = _frequent(sight, search, terms, enough=start + PAGE + 1)
    found = list(
        ReportVersion.objects.filter(
            visible(sight, "report__study__"), _narrow(search), pk__in=ids, is_current=True
        )
        .select_related("report__study__institution", "report__study__person")
        .order_by("-reported_at", "-pk")[start : start + PAGE + 1]
    )
    sight.learn([each.report.study_id for each in found if each.report.study_id])
    rows = [_row(actor, each, terms) for each in found[:PAGE]]
    return ReportPage(search, rows, more=len(found) > PAGE and search.page < DEEPEST_PAGE)


def _row(actor: User, version: ReportVersion, terms: list[str]) -> FoundReport:
    study = version.report.study
    texts = (version.impression, version.findings, version.title)
    basis = decide(actor, study).basis if study else None
    return FoundReport(version, excerpt(texts, terms), basis)


def _rare(terms: list[str]) -> list[int] | None:
    """The versions that hold all terms, wherever they are; None where they are many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sharing_grams(t) FROM unnest(%s::text[]) AS t", [terms])
        grams = sorted({gram for (found,) in cursor.fetchall() for gram in found})
        cursor.execute(_RARE, [grams])
        ids = [pk for (pk,) in cursor.fetchall()]
        if len(ids) > RARE:
            return None
        # Grams stand anywhere in a text; the terms themselves as they were typed.
        sql, values = _has(terms)
        cursor.execute(
            f"SELECT v.id FROM sharing_reportversion v WHERE v.id = ANY(%s) AND {sql}",  # noqa: S608
            [ids, *values],
        )
        return [pk for (pk,) in cursor.fetchall()]


def _frequent(sight: Sight, search: ReportSearch, terms: list[str], *, enough: int) -> list[int]:
    sql, values = _has(terms)
    for condition, value in _bounds(search):
        sql, values = f"{sql} AND {condition}", [*values, value]
    with connection.cursor() as cursor:
        places = _places(cursor, sight, search.institution_code)
        walk = _Walk(cursor, places, _instants(search)[1], _NEXT_OF_EACH.format(narrow=sql), values)
        ids = walk.newest(enough)
        beyond, known = beyond_condition(sight, lambda name: f"s.{name}")
        if beyond and sight.reaches_beyond:
            statement = _BEYOND.format(beyond=beyond, most=_MOST_BEYOND, narrow=sql)
            cursor.execute(statement, [*known, *values, enough])
            ids += [pk for (pk,) in cursor.fetchall()]
    return ids


def _places(cursor: Any, sight: Sight, code: str) -> list[int]:
    places = sorted(sight.institution_ids)
    if not code:
        return places
    cursor.execute(
        "SELECT id FROM hospitals_institution WHERE code = %s AND id = ANY(%s)", [code, places]
    )
    return [pk for (pk,) in cursor.fetchall()]


class _Walk:
    """The reports of several places from the newest to older ones, a stretch of each at a time."""

    def __init__(
        self, cursor: Any, places: list[int], end: datetime | None, sql: str, values: list[Any]
    ) -> None:
        self._cursor, self._sql, self._values = cursor, sql, values
        start = end or datetime.max.replace(year=9000, tzinfo=UTC)
        self._next = dict.fromkeys(
            places, (start, 0)
        )  # nothing at the very start: the end is exclusive
        self._stretch = max(_SHORTEST_STRETCH, _AT_ONCE // max(1, len(places)))
        self._hits: list[tuple[datetime, int]] = []
        self._read = 0

    def newest(self, enough: int) -> list[int]:
        """The newest hits, as many as are needed where there are so many among the newest ``MOST_READ`` reports."""
        while self._next and self._read < MOST_READ:
            self._go_on()
            # What is newer than every place's next has been seen whole.
            seen_to = max(self._next.values(), default=None)
            sure = sum(1 for hit in self._hits if seen_to is None or hit >= seen_to)
            if sure >= enough:
                break
        return [pk for _, pk in sorted(self._hits, reverse=True)[:enough]]

    def _go_on(self) -> None:
        places = list(self._next)
        at, last = zip(*self._next.values(), strict=True)
        given = [*self._values, places, list(at), list(last), self._stretch]
        self._cursor.execute(self._sql, given)
        read: dict[int, list[tuple[datetime, int]]] = {place: [] for place in places}
        for place, pk, reported_at, hit in self._cursor.fetchall():
            read[place].append((reported_at, pk))
            self._read += 1
            if hit:
                self._hits.append((reported_at, pk))
        for place, found in read.items():
            if len(found) < self._stretch:
                del self._next[place]
            else:
                self._next[place] = min(found)


def _has(terms: list[str]) -> tuple[str, list[Any]]:
    return " AND ".join([f"{_TEXT} LIKE %s"] * len(terms)), [f"%{_plain(each)}%" for each in terms]


def _plain(term: str) -> str:
    return term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _bounds(search: ReportSearch) -> list[tuple[str, Any]]:
    first, end = _instants(search)
    found: list[tuple[str, Any]] = []
    if first:
        found.append(("v.reported_at >= %s", first))
    if end:
        found.append(("v.reported_at < %s", end))
    if search.status:
        found.append(("v.status = %s", search.status))
    return found


def _narrow(search: ReportSearch) -> Q:
    first, end = _instants(search)
    values = {
        "reported_at__gte": first,
        "reported_at__lt": end,
        "status": search.status,
        "institution__code": search.institution_code,
    }
    return Q(**{name: value for name, value in values.items() if value})


def _instants(search: ReportSearch) -> tuple[datetime | None, datetime | None]:
    first = day_bounds(search.since)[0] if search.since else None
    return first, day_bounds(search.until)[1] if search.until else None
