"""Where a search looks, as SQL: the institutions that are seen whole, and beyond them persons and single studies.

Both parts are disjoint, so that each may be read in its own order and the two merged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sharing.permissions import NOTHING, Sight, beyond_condition, person_arms
from sharing.selectors import codes

NEWEST = "s.study_date DESC NULLS LAST, s.id DESC"
Sql = tuple[str, list[Any]]


@dataclass(frozen=True)
class Within:
    """Where is searched: institutions whose studies the actor sees, by id, and what it sees ``beyond`` them; under
    one root (``at``: that institution only) or the common one."""

    institution_ids: Sequence[int]
    common_root: bool
    beyond: Sight | None = None
    at: int | None = None
    one_copy: bool = False  # nothing that is found has other copies

    @classmethod
    def of(cls, sight: Sight, institution_code: str = "") -> Within:
        """What ``sight`` reaches, at the common root or that of one institution."""
        beyond = sight if sight.reaches_beyond else None
        if not institution_code:
            return cls(sorted(sight.institution_ids), True, beyond)
        one = codes.id_of(institution_code)
        if one is None:
            return cls([], False)
        if one in sight.institution_ids:
            return cls([one], False)
        return cls([], False, beyond, at=one)

    @property
    def anything(self) -> bool:
        """Whether there is anything to be searched."""
        return bool(self.institution_ids) or self.beyond is not None

    @property
    def several(self) -> bool:
        """Whether more than one institution may answer, so that a study may be found twice."""
        many = len(self.institution_ids) > 1 or (self.beyond is not None and self.at is None)
        return many and not self.one_copy

    @property
    def institution_of(self) -> Callable[[str], int | None] | None:
        """The id of an institution by its code, where Patient IDs carry the code."""
        if not self.common_root:
            return None
        return partial(codes.id_of, among=None if self.beyond else self.institution_ids)


def whole(alias: str, within: Within) -> Sql:
    """A study of the institutions that are seen whole."""
    ids = list(within.institution_ids)
    if len(ids) == 1:
        return f"{alias}.institution_id = %s", [ids[0]]
    return f"{alias}.institution_id = ANY(%s::bigint[])", [ids]


def beyond(alias: str, within: Within) -> Sql:
    """A study that only a person's or its own reason lets be seen."""
    if within.beyond is None:
        return "FALSE", []
    sql, params = beyond_condition(within.beyond, lambda name: f"{alias}.{name}")
    elsewhere, of_elsewhere = _elsewhere(alias, within)
    return f"({elsewhere} AND {sql})", [*of_elsewhere, *params]


def sight(alias: str, within: Within) -> Sql:
    """A study that may be seen, for whatever reason."""
    if within.beyond is None:
        return whole(alias, within)
    wide, of_wide = whole(alias, within) if within.institution_ids else ("FALSE", [])
    narrow, of_narrow = beyond(alias, within)
    return f"({wide} OR {narrow})", [*of_wide, *of_narrow]


def newest_beyond(within: Within, condition: Sql, limit: int, *, on: Sql = ("", [])) -> Sql:
    """Ids of the newest studies beyond the institutions that meet a condition on ``s``; the query has the columns
    ``id`` and ``study_date``. ``on``: what is asked of the day (" AND …"), which a person's index answers.

    Each person's studies are read by the person's own index and nothing else: OFFSET 0 keeps the planner from asking
    another one again for each person.
    """
    sees = within.beyond or NOTHING
    days, of_days = on
    seen, of_seen = beyond("s", within)
    whole_condition = (f"{seen} AND {condition[0]}", [*of_seen, *condition[1]])
    if sees.only_person is not None:
        return _newest(
            f"s.person_id = %s{days}", [sees.only_person, *of_days], whole_condition, limit
        )
    arms, params = [], []
    elsewhere, of_elsewhere = _elsewhere("s", within)
    for (persons, of_persons), (left, of_left) in person_arms(sees, lambda name: f"s.{name}"):
        clause = f"{elsewhere} AND {left} AND {condition[0]}"
        values = [*of_elsewhere, *of_left, *condition[1]]
        one, of_one = _newest(f"s.person_id = p.id{days}", of_days, (clause, values), limit)
        # Of names and placeholders; every value is a parameter, here as below.
        arms.append(f"SELECT k.* FROM ({persons}) p (id) CROSS JOIN LATERAL ({one}) k")  # noqa: S608
        params += [*of_persons, *of_one]
    if sees.studies:
        single = [sorted(sees.studies), *of_days]
        one, of_one = _newest(f"s.id = ANY(%s::bigint[]){days}", single, whole_condition, limit)
        arms.append(f"({one})")
        params += of_one
    union = " UNION ".join(arms)
    return f"SELECT * FROM ({union}) s ORDER BY {NEWEST} LIMIT %s", [*params, limit]  # noqa: S608


def _elsewhere(alias: str, within: Within) -> Sql:
    """Beyond the institutions that are seen whole; under the root of one institution, at that one."""
    if within.at is not None:
        return f"{alias}.institution_id = %s", [within.at]
    if within.institution_ids:
        return f"{alias}.institution_id <> ALL(%s::bigint[])", [list(within.institution_ids)]
    return "TRUE", []


def _newest(of: str, of_params: list[Any], condition: Sql, limit: int) -> Sql:
    sql = (
        f"SELECT s.id, s.study_date FROM (SELECT s.* FROM sharing_study s WHERE {of} OFFSET 0) s"  # noqa: S608
        f" WHERE {condition[0]} ORDER BY {NEWEST} LIMIT %s"
    )
    return sql, [*of_params, *condition[1], limit]
