"""Search of the index, as SQL: one statement for a page, whatever the size of the index.

Three things decide its form. *Order*: newest study first, then by number, which is total; an index has that order
over all institutions, within each, and within each person. *Sight*: a few institutions of a province are read one by
one in that order and merged, for walking over all studies would pass those of the others; what is seen of persons
beyond them is asked for by itself, no older than the page so far. *Copies*: of a UID that several visible
institutions hold, the primary one among those that match answers; only rows marked ``shared`` can have others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from sharing.dicomweb import frequency
from sharing.dicomweb.columns import SERIES, STUDY, FoundSeries, FoundStudy
from sharing.dicomweb.keys import SERIES_KEYS, series_conditions, study_conditions
from sharing.dicomweb.matching import Condition, all_of, day_range
from sharing.dicomweb.query import EMPTY, MAX_RESULTS, SearchTooBroad
from sharing.dicomweb.sight_sql import NEWEST as _NEWEST
from sharing.dicomweb.sight_sql import Sql, Within, beyond, newest_beyond, sight, whole
from sharing.selectors import DERIVED_MODALITIES, codes

if TYPE_CHECKING:
    from datetime import date

    from sharing.dicomweb.query import Search

# So many institutions are read one by one; of more, all studies are walked over and the others' left out.
_ONE_BY_ONE = 24
_DEEP = 1_000  # results to be skipped, which each of them would have to read
# Of the newest studies so many are walked over, at least, before an index is asked for all that match.
_CHEAP, _MARGIN, _PROBED = 4_000, 2.5, 1_000
_PROBED_FOR_SERIES = 6_000
_FEW = 20_000  # of which each is asked whether a person's reason reaches it
# What no index answers may take so long; then the searcher is asked for a narrower key.
_TIMEOUT_MS = 8_000
TOO_SLOW = (
    "This search would have to look through too much of the archive. Add a key that narrows it, such as PatientID, "
    "AccessionNumber, StudyInstanceUID, StudyDate, or PatientName with at least two letters."
)
UNBOUNDED = (
    "A search with neither a matching key nor a limit is answered where it has at most {most} results; here are more. "
    "Add a key, such as StudyDate or PatientID, or a limit."
)

_BY_NUMBER = "e.series_number ASC NULLS LAST, e.id ASC"
# As sharing.selectors.primary_order: pictures before notes on them, then archived earliest, then found earliest.
_RANK = (
    "{{s}}.modalities <> '{{{{}}}}' AND {{s}}.modalities <@ '{{{{{derived}}}}}'::varchar[],"
    " coalesce({{s}}.archived_at, 'infinity'), {{s}}.id"
).format(derived=",".join(DERIVED_MODALITIES))
_EARLIER = f"({_RANK.format(s='b')}) < ({_RANK.format(s='s')})"


_STUDY_WIDTH = len(FoundStudy._fields)
_DAY = FoundStudy._fields.index("study_date")
_SHARED = FoundStudy._fields.index("shared")


def search_studies(search: Search, within: Within) -> tuple[list[FoundStudy], bool]:
    """One page of studies, and whether there are more.

    Raises:
        SearchTooBroad: it asks for everything, or for what takes too long to be found.
    """
    if not within.anything:
        return [], False
    condition = all_of(study_conditions(search, within.institution_of))
    return _page([FoundStudy._make(row) for row in _found(condition, within, search)], search)


def _found(condition: Condition, within: Within, search: Search) -> list[tuple[Any, ...]]:
    """The page and one row more, by the way that looks at the fewest rows."""
    if within.beyond is None:
        return _in_institutions(condition, within, search)
    wanted = search.offset + search.page_size + 1
    if condition.share == 0 or within.beyond.only_person is not None or wanted > MAX_RESULTS:
        limited = bool(search.keys) and condition.share != 0
        seen = sight("s", within)
        plain = replace(within, one_copy=True)
        rows = _rows(*_looked_up(condition, plain, search, seen), limited=limited)
        # To plan the question for better copies takes longer than to look up a number; few studies have any.
        if not any(row[_SHARED] for row in rows):
            return rows
        return _rows(*_looked_up(condition, within, search, seen), limited=limited)
    near = replace(search, offset=0, limit=wanted - 1)
    found = _in_institutions(condition, within, near) if within.institution_ids else []
    full = len(found) == wanted
    found += _rows(*_beyond(condition, within, near, found[-1] if full else None), limited=True)
    found.sort(key=_newest_first)
    return found[search.offset : wanted]


def _in_institutions(condition: Condition, within: Within, search: Search) -> list[tuple[Any, ...]]:
    """Of the institutions that are seen whole."""
    if not condition.indexed:
        return _rows(*_in_order(condition, within, search), limited=bool(search.keys))
    if condition.share == 0:
        return _rows(*_looked_up(condition, within, search, whole("s", within)))
    wanted = search.offset + search.page_size + 1
    if among := _to_walk(condition, within, wanted):
        rows = _rows(*_walked(condition, within, search, among))
        if len(rows) > search.page_size:
            return rows
    return _rows(*_gathered(condition, within, search), limited=True)


def _beyond(
    condition: Condition, within: Within, search: Search, last: tuple[Any, ...] | None
) -> tuple[str, list[Any]]:
    """Of persons and single studies beyond the institutions, none older than ``last`` of the page so far.

    Each person's studies are read in their order; where an index leads to few that match, these are looked at instead.
    """
    where, params = condition.of("s"), list(condition.params)
    where += _no_better_copy(condition, within, params)
    size = search.page_size + 1
    day = last[_DAY] if last else None
    if day is None and _few(condition):
        seen, of_seen = beyond("s", within)
        ids = f"SELECT s.id, s.study_date FROM sharing_study s WHERE {where} AND {seen} OFFSET 0"  # noqa: S608
        ids = f"SELECT * FROM ({ids}) s ORDER BY {_NEWEST} LIMIT %s"  # noqa: S608
        params = [*params, *of_seen, size]
    else:
        on, of_on = _days(search)
        if day is not None:
            on, of_on = f"{on} AND s.study_date >= %s", (*of_on, day)
        ids, params = newest_beyond(within, (where, params), size, on=(on, list(of_on)))
    return f"SELECT {STUDY} FROM ({ids}) p JOIN sharing_study s ON s.id = p.id", params  # noqa: S608


def _few(condition: Condition) -> bool:
    """Whether an index leads to few enough for each of them to be asked whose it is."""
    if not condition.indexed or condition.share is None:
        return False
    return condition.share * frequency.study_count() <= _FEW


def _newest_first(row: tuple[Any, ...]) -> tuple[bool, int, int]:
    """As ``_NEWEST``."""
    day: date | None = row[_DAY]
    return day is None, -day.toordinal() if day else 0, -row[0]


def search_series(
    search: Search, within: Within, *, study_ids: Sequence[int] = (), also: Sequence[int] = ()
) -> tuple[list[tuple[FoundStudy, FoundSeries]], bool]:
    """One page of series with their studies, of these studies or of all, and whether there are more.

    ``also`` are single series of other copies of these studies.

    Raises:
        SearchTooBroad: it asks for everything, or for what takes too long to be found.
    """
    if not within.anything:
        return [], False
    condition = all_of(
        [*study_conditions(search, within.institution_of), *series_conditions(search)]
    )
    if study_ids:
        rows = _rows(*_series_of(study_ids, also, condition, within, search))
    else:
        rows = _series_found(condition, within, search)
    found = [
        (FoundStudy._make(row[:_STUDY_WIDTH]), FoundSeries._make(row[_STUDY_WIDTH:]))
        for row in rows
    ]
    return _page(found, search)


def _series_found(condition: Condition, within: Within, search: Search) -> list[tuple[Any, ...]]:
    """The page and one row more; where a key is of the series, the newest studies are tried first."""
    probed = condition.share != 0 and any(key in SERIES_KEYS for key in search.keys)
    for among in (_PROBED_FOR_SERIES, 0) if probed else (0,):
        limited = bool(search.keys) and condition.share != 0 and not among
        rows = _rows(*_series_anywhere(condition, within, search, among), limited=limited)
        if len(rows) > search.page_size:
            break
    return rows


def _series_anywhere(
    condition: Condition, within: Within, search: Search, among: int
) -> tuple[str, list[Any]]:
    """Series of all visible studies, or of ``among`` so many of the newest."""
    if among:
        newest, params = _newest(within, search, among, of_beyond=True)
        source, where = f"({newest}) s", ""
    else:
        seen, params = sight("s", within)
        source, where = "sharing_study s", f"{seen} AND "
    where += condition.of("s", "e")
    params += condition.params
    where += _no_better_copy(condition, within, params, of_series=True)
    sql = (  # of names and placeholders; every value is a parameter, here as below
        f"SELECT {STUDY}, {SERIES} FROM {source} JOIN sharing_series e ON e.study_id = s.id"  # noqa: S608
        f" WHERE {where} ORDER BY {_NEWEST}, {_BY_NUMBER} LIMIT %s OFFSET %s"
    )
    return sql, [*params, search.page_size + 1, search.offset]


def _series_of(
    study_ids: Sequence[int],
    also: Sequence[int],
    condition: Condition,
    within: Within,
    search: Search,
) -> tuple[str, list[Any]]:
    """Series of these studies, and ``also`` these of other copies."""
    seen, params = sight("s", within)
    params += [*condition.params, list(study_ids)]
    where = f"{seen} AND {condition.of('s', 'e')} AND "
    if also:  # as one list of keys: no index leads to either of two conditions
        where += "e.id = ANY(ARRAY(SELECT id FROM sharing_series WHERE study_id = ANY(%s)) || %s::bigint[])"
        params.append(list(also))
    else:
        where += "s.id = ANY(%s)"
    sql = (
        f"SELECT {STUDY}, {SERIES} FROM sharing_study s JOIN sharing_series e ON e.study_id = s.id"  # noqa: S608
        f" WHERE {where} ORDER BY {_BY_NUMBER} LIMIT %s OFFSET %s"
    )
    return sql, [*params, search.page_size + 1, search.offset]


def holders(uids: Sequence[str], within: Within, *, of_series: bool) -> dict[str, list[int]]:
    """Institutions that hold each of these studies or series, the primary copy of the study first."""
    if not uids:
        return {}
    source, column = "sharing_study s", "s.study_instance_uid"
    if of_series:
        source += " JOIN sharing_series e ON e.study_id = s.id"
        column = "e.series_instance_uid"
    seen, params = sight("s", within)
    sql = (
        f"SELECT {column}, s.institution_id FROM {source} WHERE {column} = ANY(%s) AND {seen}"  # noqa: S608
        f" ORDER BY {_RANK.format(s='s')}"
    )
    found: dict[str, list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(uids), *params])
        for uid, institution_id in cursor.fetchall():
            found.setdefault(uid, []).append(institution_id)
    return found


def _to_walk(condition: Condition, within: Within, wanted: int) -> int:
    """Of how many of the newest visible studies the page is likely to be had; 0: gathering costs less.

    A row on the walk costs half of one that an index leads to.
    """
    if condition.share is None:
        return _PROBED
    expected = wanted / condition.share
    institutions = len(within.institution_ids)
    passed = expected if institutions <= _ONE_BY_ONE else expected * codes.count() / institutions
    dear = max(_CHEAP, 2 * condition.share * frequency.study_count())
    return int(expected * _MARGIN) if passed <= dear else 0


def _walked(
    condition: Condition, within: Within, search: Search, among: int
) -> tuple[str, list[Any]]:
    """The page from ``among`` so many of the newest studies, or less of it."""
    source, params = _newest(within, search, among)
    where = condition.of("s")
    params += condition.params
    where += _no_better_copy(condition, within, params)
    sql = f"SELECT {STUDY} FROM ({source}) s WHERE {where} ORDER BY {_NEWEST} LIMIT %s OFFSET %s"  # noqa: S608
    return sql, [*params, search.page_size + 1, search.offset]


def _newest(
    within: Within, search: Search, among: int, *, of_beyond: bool = False
) -> tuple[str, list[Any]]:
    """The newest visible studies. A few institutions are each read in their own order and merged as far as needed.

    ``of_beyond``: with those that are seen beyond the institutions; else these are asked for by themselves.
    """
    days, of_days = _days(search)
    sights = [("s.institution_id = %s", [each]) for each in within.institution_ids]
    if len(sights) > _ONE_BY_ONE:
        sights = [whole("s", within)]
    if of_beyond and within.beyond is not None:
        ids, params = newest_beyond(within, ("TRUE", []), among, on=(days, list(of_days)))
        sights.append((f"s.id IN (SELECT id FROM ({ids}) k)", params))  # noqa: S608
    one = "(SELECT s.* FROM sharing_study s WHERE {sight}{days} ORDER BY {newest} LIMIT %s)"
    union = " UNION ALL ".join(
        one.format(sight=each, days=days, newest=_NEWEST) for each, _ in sights
    )
    params = [value for _, given in sights for value in (*given, *of_days, among)]
    return f"SELECT s.* FROM ({union}) s ORDER BY {_NEWEST} LIMIT %s", [*params, among]  # noqa: S608


def _in_order(condition: Condition, within: Within, search: Search) -> tuple[str, list[Any]]:
    """From the newest on until the page is full: what has no index of its own, or a day's studies."""
    if not 1 < len(within.institution_ids) <= _ONE_BY_ONE or search.offset > _DEEP:
        return _looked_up(condition, within, search, whole("s", within))
    inner: list[Any] = list(condition.params)
    where = f"s.institution_id = i.id AND {condition.of('s')}"
    where += _no_better_copy(condition, within, inner)
    sql = (
        f"SELECT {STUDY} FROM (SELECT k.id FROM unnest(%s::bigint[]) i (id) CROSS JOIN LATERAL ("  # noqa: S608
        f"SELECT s.id, s.study_date FROM sharing_study s WHERE {where} ORDER BY {_NEWEST} LIMIT %s) k"
        " ORDER BY k.study_date DESC NULLS LAST, k.id DESC LIMIT %s OFFSET %s) p"
        f" JOIN sharing_study s ON s.id = p.id ORDER BY {_NEWEST}"
    )
    size = search.page_size + 1
    params = [list(within.institution_ids), *inner, size + search.offset, size, search.offset]
    return sql, params


def _looked_up(
    condition: Condition, within: Within, search: Search, seen: Sql
) -> tuple[str, list[Any]]:
    """As the planner likes it: what a number or UID leads to, or newest first over all that is ``seen``."""
    params = [*seen[1], *condition.params]
    where = f"{seen[0]} AND {condition.of('s')}" + _no_better_copy(condition, within, params)
    sql = f"SELECT {STUDY} FROM sharing_study s WHERE {where} ORDER BY {_NEWEST} LIMIT %s OFFSET %s"  # noqa: S608
    return sql, [*params, search.page_size + 1, search.offset]


def _gathered(condition: Condition, within: Within, search: Search) -> tuple[str, list[Any]]:
    """All that match, by their indexes, then sorted. OFFSET 0 keeps the planner from walking instead."""
    seen, params = whole("s", within)
    params += condition.params
    where = f"{seen} AND {condition.of('s')}" + _no_better_copy(condition, within, params)
    sql = (
        f"SELECT {STUDY} FROM (SELECT * FROM (SELECT s.id, s.study_date FROM sharing_study s WHERE {where} OFFSET 0)"  # noqa: S608
        " k ORDER BY k.study_date DESC NULLS LAST, k.id DESC LIMIT %s OFFSET %s) p"
        f" JOIN sharing_study s ON s.id = p.id ORDER BY {_NEWEST}"
    )
    return sql, [*params, search.page_size + 1, search.offset]


def _days(search: Search) -> tuple[str, tuple[Any, ...]]:
    """The condition on the day, which the order's index answers too."""
    given = search.keys.get("00080020")
    if not given or given == EMPTY:
        return "", ()
    condition = day_range("{s}.study_date", given)
    return f" AND {condition.of('s')}", condition.params


def _no_better_copy(
    condition: Condition, within: Within, params: list[Any], *, of_series: bool = False
) -> str:
    """Of the matching copies of one UID, the primary: archived first, then found first."""
    if not within.several:
        return ""
    source, same = "sharing_study b", "b.study_instance_uid = s.study_instance_uid"
    if of_series:
        source += " JOIN sharing_series be ON be.study_id = b.id"
        same += " AND be.series_instance_uid = e.series_instance_uid"
    seen, ids = sight("b", within)
    params += [*ids, *condition.params]
    return (
        f" AND (NOT s.shared OR NOT EXISTS (SELECT FROM {source} WHERE {same} AND {seen}"
        f" AND {condition.of('b', 'be')} AND {_EARLIER}))"
    )


def _rows(sql: str, params: Sequence[Any], *, limited: bool = False) -> list[tuple[Any, ...]]:
    """The rows of a statement; one that may look at very many has a time limit of its own.

    Raises:
        SearchTooBroad: it took too long.
    """
    try:
        if not limited:
            return _run(sql, params)
        with transaction.atomic():
            return _run(f"SET LOCAL statement_timeout = {_TIMEOUT_MS}; {sql}", params)
    except OperationalError as error:
        if limited and isinstance(error.__cause__, QueryCanceled):
            raise SearchTooBroad(TOO_SLOW) from error
        raise


def _run(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        while cursor.description is None and cursor.nextset():
            pass
        return list(cursor.fetchall())


def _page(found: list[Any], search: Search) -> tuple[list[Any], bool]:
    """The page without the row that tells whether there are others.

    Raises:
        SearchTooBroad: all was asked for, and it is more than one answer.
    """
    more = len(found) > search.page_size
    if more and search.unbounded:
        raise SearchTooBroad(UNBOUNDED.format(most=MAX_RESULTS))
    return found[: search.page_size], more
