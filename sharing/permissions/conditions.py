"""The sight of one account as a condition on studies: one builder for SQL that is written and for the ORM's.

A few persons stand in the statement as an array. Where an institution treats thousands, their encounters and consents
are asked row by row instead (``Crowd``): no statement grows with them, and no sight has to read them all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import BooleanField, F, Func, Q
from django.utils import timezone

from sharing.permissions.bases import Basis, strongest

if TYPE_CHECKING:
    from sharing.permissions.sights import Sight

Column = Callable[[str], str]  # the name of a study's column in the statement
Sql = tuple[str, list[Any]]
_COLUMNS = (
    "id", "institution_id", "person_id", "study_instance_uid", "study_date", "modalities",
)  # fmt: skip
_OPEN_ENCOUNTERS = (
    " en.institution_id = ANY(%s::bigint[]) AND en.closed_at IS NULL"
    " AND en.opened_at <= %s AND en.expires_at > %s"
)
_GIVEN_CONSENTS = (
    " c.institution_id = ANY(%s::bigint[]) AND (c.user_id IS NULL OR c.user_id = %s)"
    " AND c.withdrawn_at IS NULL AND c.given_at <= %s AND c.expires_at > %s"
)
# The scope of a consent; an empty list and null narrow nothing.
_SCOPE = (
    " AND (c.modalities = '{{}}' OR c.modalities && {modalities})"
    " AND (c.held_by = '{{}}' OR {institution_id} = ANY(c.held_by))"
    " AND (c.study_instance_uids = '{{}}' OR {study_instance_uid} = ANY(c.study_instance_uids))"
    " AND (c.since IS NULL OR {study_date} >= c.since)"
)


@dataclass(frozen=True)
class Crowd:
    """Institutions with so many open encounters, or consents, that a study's own are asked for."""

    encounters_at: tuple[int, ...]
    consents_at: tuple[int, ...]
    user_id: int


def sight_condition(sight: Sight, column: Column) -> Sql:
    """That ``sight`` reaches a study, whose columns are named by ``column``."""
    found = [each for each in (_wide(sight, column), _beyond(sight, column)) if each[0]]
    return _only(sight, column, _any(found))


def beyond_condition(sight: Sight, column: Column) -> Sql:
    """That a person's or a study's own reason reaches it. A launch reaches nothing else, so it is whole in here."""
    if sight.only_person is not None:
        return sight_condition(sight, column)
    return _any([_beyond(sight, column)])


def person_arms(sight: Sight, column: Column) -> list[tuple[Sql, Sql]]:
    """The persons of whom something may be seen, as queries of one column, each with the condition that a study of
    such a person still has to meet: the scope of consents, and that its institution has not left."""
    now = timezone.now()
    left = f"{column('institution_id')} <> ALL(%s::bigint[])" if sight.left else "TRUE"
    of_left: list[Any] = [sorted(sight.left)] if sight.left else []
    sql: str = "SELECT unnest(%s::bigint[])"
    params: list[Any] = [sorted(sight.persons)]
    if sight.crowd and sight.crowd.encounters_at:
        sql += (
            " UNION SELECT lp.person_id FROM sharing_encounter en"  # noqa: S608
            f" JOIN sharing_localpatient lp ON lp.id = en.patient_id WHERE{_OPEN_ENCOUNTERS}"
        )
        params += [list(sight.crowd.encounters_at), now, now]
    arms: list[tuple[Sql, Sql]] = [((sql, params), (left, of_left))]
    if sight.crowd and sight.crowd.consents_at:
        persons = (
            "SELECT DISTINCT lp.person_id FROM sharing_consent c"  # noqa: S608
            f" JOIN sharing_localpatient lp ON lp.id = c.patient_id WHERE{_GIVEN_CONSENTS}"
        )
        given: list[Any] = [list(sight.crowd.consents_at), sight.crowd.user_id, now, now]
        within, of_within = _consent(sight.crowd, column, now)
        arms.append(((persons, given), (f"{within} AND {left}", [*of_within, *of_left])))
    return arms


def visible(sight: Sight, prefix: str = "") -> Q:
    """The same for the ORM; ``prefix`` leads to the study (``study__``)."""
    if not sight.reaches_beyond:
        return Q(**{f"{prefix}institution_id__in": sorted(sight.institution_ids)})
    return Q(_Seen(sight, prefix))


class _Seen(Func):
    """``sight_condition`` on the columns of a query."""

    output_field = BooleanField()

    def __init__(self, sight: Sight, prefix: str) -> None:
        super().__init__(*(F(f"{prefix}{name}") for name in _COLUMNS))
        self._sight = sight
        self._prefix = prefix

    @property
    def identity(self) -> tuple[object, ...]:
        # Of the framework it would be the arguments, compared by value and hashed.
        return (type(self), id(self._sight), self._prefix)

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        named = {
            name: compiler.compile(each)[0]
            for name, each in zip(_COLUMNS, self.get_source_expressions(), strict=True)
        }
        return sight_condition(self._sight, named.__getitem__)


def studies_of_consents(
    consent_ids: Collection[int], *, not_at: Collection[int], limit: int
) -> list[int]:
    """The studies that these consents, each within its scope, are about; at most ``limit``."""
    scope = _SCOPE.format_map({name: f"s.{name}" for name in _COLUMNS})
    sql = (  # of names and placeholders; every value is a parameter, here as below
        "SELECT DISTINCT s.id FROM sharing_consent c JOIN sharing_localpatient lp ON lp.id = c.patient_id"  # noqa: S608
        f" JOIN sharing_study s ON s.person_id = lp.person_id WHERE c.id = ANY(%s::bigint[])"
        f" AND s.institution_id <> ALL(%s::bigint[]){scope} LIMIT %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [sorted(consent_ids), sorted(not_at), limit])
        return [row[0] for row in cursor.fetchall()]


def bases_of_crowd(crowd: Crowd, study_ids: Collection[int]) -> dict[int, Basis | None]:
    """Why each of these studies may be seen for the patients of the crowd. One query."""
    now = timezone.now()
    encounter, of_encounter = _encounter(crowd, _of_s, now)
    consent, of_consent = _consent(crowd, _of_s, now)
    sql = f"SELECT s.id, {encounter}, {consent} FROM sharing_study s WHERE s.id = ANY(%s::bigint[])"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*of_encounter, *of_consent, sorted(study_ids)])
        rows = cursor.fetchall()
    found = {
        study_id: strongest(
            Basis.ENCOUNTER if by_encounter else None, Basis.CONSENT if by_consent else None
        )
        for study_id, by_encounter, by_consent in rows
    }
    return {each: found.get(each) for each in study_ids}


def basis_of_crowd(crowd: Crowd, person_id: int) -> Basis | None:
    """Why all studies of this person may be seen, as a patient of the crowd. One query."""
    now = timezone.now()
    encounter, of_encounter = _encounter(crowd, lambda _: "p.id", now)
    sql = f"SELECT {encounter} FROM sharing_person p WHERE p.id = %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*of_encounter, person_id])
        row = cursor.fetchone()
    return Basis.ENCOUNTER if row and row[0] else None


def _of_s(name: str) -> str:
    return f"s.{name}"


def _wide(sight: Sight, column: Column) -> Sql:
    ids = sorted(sight.own | sight.consortium)
    if not ids:
        return "", []
    return f"{column('institution_id')} = ANY(%s::bigint[])", [ids]


def _beyond(sight: Sight, column: Column) -> Sql:
    persons: list[Sql] = []
    if sight.persons:
        persons.append((f"{column('person_id')} = ANY(%s::bigint[])", [sorted(sight.persons)]))
    if sight.crowd:
        now = timezone.now()
        persons += [_encounter(sight.crowd, column, now), _consent(sight.crowd, column, now)]
    found: list[Sql] = []
    if persons:
        sql, params = _any(persons)
        if sight.left:
            sql = f"({sql} AND {column('institution_id')} <> ALL(%s::bigint[]))"
            params = [*params, sorted(sight.left)]
        found.append((sql, params))
    if sight.studies:
        found.append((f"{column('id')} = ANY(%s::bigint[])", [sorted(sight.studies)]))
    return _any(found) if found else ("", [])


def _encounter(crowd: Crowd, column: Column, now: datetime) -> Sql:
    if not crowd.encounters_at:
        return "FALSE", []
    sql = (
        "EXISTS (SELECT FROM sharing_localpatient lp JOIN sharing_encounter en ON en.patient_id = lp.id"
        f" WHERE lp.person_id = {column('person_id')} AND{_OPEN_ENCOUNTERS})"
    )
    return sql, [list(crowd.encounters_at), now, now]


def _consent(crowd: Crowd, column: Column, now: datetime) -> Sql:
    if not crowd.consents_at:
        return "FALSE", []
    scope = _SCOPE.format_map({name: column(name) for name in _COLUMNS})
    sql = (
        "EXISTS (SELECT FROM sharing_localpatient lp JOIN sharing_consent c ON c.patient_id = lp.id"
        f" WHERE lp.person_id = {column('person_id')} AND{_GIVEN_CONSENTS}{scope})"
    )
    return sql, [list(crowd.consents_at), crowd.user_id, now, now]


def _any(found: list[Sql]) -> Sql:
    found = [each for each in found if each[0]]
    if not found:
        return "FALSE", []
    if len(found) == 1:
        return found[0]
    return "(" + " OR ".join(sql for sql, _ in found) + ")", [
        value for _, params in found for value in params
    ]


def _only(sight: Sight, column: Column, condition: Sql) -> Sql:
    if sight.only_person is None:
        return condition
    sql, params = condition
    return f"({column('person_id')} = %s AND {sql})", [sight.only_person, *params]
