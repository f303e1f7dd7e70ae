"""Reports found by their words, Chinese too, within what the account may see (ADR 0025).

Rare words are found by the index of grams. Words that stand in very many reports are not looked up there: the newest
reports of each visible institution are read until a page is full, which is sooner the more frequent they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
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
_TEXT = "sharing_report_text(v.title, v.findings, v.impression)"
# One reading of the index, which stops as soon as they are too many.
_RARE = f"""
SELECT v.id FROM sharing_reportversion v
WHERE v.is_current AND sharing_grams({_TEXT}) @> %s::text[] LIMIT {RARE + 1}
"""  # noqa: S608 (constants)
_NEWEST_OF_EACH = """
SELECT found.id FROM unnest(%s::bigint[]) AS place(id) CROSS JOIN LATERAL (
    SELECT v.id, v.reported_at FROM sharing_reportversion v JOIN sharing_report r ON r.id = v.report_id
    WHERE v.is_current AND v.institution_id = place.id AND r.study_id IS NOT NULL AND {narrow}
    ORDER BY v.reported_at DESC, v.id DESC LIMIT %s
) found ORDER BY found.reported_at DESC, found.id DESC LIMIT %s
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
    places = sorted(sight.institution_ids)
    with connection.cursor() as cursor:
        if search.institution_code:
            cursor.execute(
                "SELECT id FROM hospitals_institution WHERE code = %s AND id = ANY(%s)",
                [search.institution_code, places],
            )
            places = [pk for (pk,) in cursor.fetchall()]
        cursor.execute(_NEWEST_OF_EACH.format(narrow=sql), [places, *values, enough, enough])
        ids = [pk for (pk,) in cursor.fetchall()]
        beyond, known = beyond_condition(sight, lambda name: f"s.{name}")
        if beyond and sight.reaches_beyond:
            statement = _BEYOND.format(beyond=beyond, most=_MOST_BEYOND, narrow=sql)
            cursor.execute(statement, [*known, *values, enough])
            ids += [pk for (pk,) in cursor.fetchall()]
    return ids


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
