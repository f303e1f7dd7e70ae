"""Persons: found by identity or by what is known of them, and what one account may know of one.

Who treats patients may find a person by an *exact identity* wherever the person was examined, and learns without a
reason to see the examinations only that there are some: how many, where, when, of which kind. Everything looser stays
within what the account sees anyway. A person's page is opened by those who see an examination, who work where the
person is registered, or who have just found it by an exact identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import structlog
from django.contrib.postgres.aggregates import ArrayAgg, JSONBAgg
from django.core.cache import cache
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet
from django.utils import timezone
from redis.exceptions import RedisError

from common import audit
from common.errors import NotFound
from common.kept import Kept
from sharing.errors import SearchTooLoose
from sharing.models import LinkEvent, LocalPatient, Person, Study
from sharing.permissions import LEFT, SEES_NO_PARTNER, TREAT, decide, sight_of
from sharing.selectors.asking_rate import count_question
from sharing.selectors.person_question import PersonSearch, of_patients, of_studies
from sharing.selectors.studies import visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User

log = structlog.get_logger(__name__)

PAGE = 25
MOST_PATIENTS = (
    2_000  # of a loose search are looked at; beyond it a narrower question is the better way
)
MOST_STUDIES = 2_000
FOUND_KEPT_S = (
    12 * 3600
)  # how long the page of a person stays open who was found by an exact identity
OWN_PATIENT = "registered-here"
_ids: Kept[str, int] = Kept(entries=20_000, keep_s=3.0)


@dataclass(frozen=True)
class PersonRow:
    """One person of an answer. Without ``in_sight`` name and birth date are to be masked.

    ``count`` studies may be seen; ``total`` exist, which only an exact search says (else it is ``count``).
    """

    person: Person
    patients: tuple[LocalPatient, ...]
    in_sight: bool
    count: int = 0
    total: int = 0
    institution_ids: tuple[int, ...] = ()
    modalities: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None

    @property
    def hidden(self) -> int:
        """Examinations of which the account has no reason to see more than that they exist."""
        return self.total - self.count

    @property
    def patient(self) -> LocalPatient | None:
        """Who it is: the patient that was registered, else of whom most is known."""
        return min(self.patients, key=_known_best, default=None)


@dataclass(frozen=True)
class PersonPage:
    """One page of an answer, newest examination first. ``cut``: more were found than are looked at."""

    search: PersonSearch
    rows: tuple[PersonRow, ...] = ()
    count: int = 0
    more: bool = False
    cut: bool = False


def find_persons(*, actor: User, search: PersonSearch) -> PersonPage:
    """One page of the persons that the question finds, in a handful of queries. The question is audited.

    Raises:
        SearchTooLoose: it names nothing by which somebody is found.
        IdentityMalformed: a resident ID that is none.
        TooManyQuestions: ``actor`` asks for one after the other beyond its sight.
    """
    exact = search.is_exact
    if not (exact or search.about_patients or search.about_studies):
        raise SearchTooLoose
    beyond = exact and treats(actor)
    if beyond:
        count_question(actor)
    found, cut = _exact(actor, search, beyond) if exact else _loose(actor, search)
    found = list(dict.fromkeys(found))
    start = (max(search.page, 1) - 1) * PAGE
    if (
        search.about_studies and not exact
    ):  # in the order of the studies that match: a page is enough
        rows = _rows(actor, found[start : start + PAGE], beyond=beyond)
    else:
        rows = _newest_first(_rows(actor, found, beyond=beyond))[start : start + PAGE]
    page = PersonPage(
        search=search,
        rows=_with_patients(actor, rows, beyond=beyond),
        count=len(found),
        more=len(found) > start + PAGE,
        cut=cut,
    )
    _note(actor, search, page)
    if beyond:
        _remember(actor, page.rows)
    return page


def get_person(*, actor: User, key: str) -> Person:
    """The person of a key, or the one that it was joined with.

    Raises:
        NotFound: there is none, or ``actor`` may not know that there is.
    """
    person = resolve(key)
    if person is None or not may_know(actor, person):
        raise NotFound("There is no such patient.")
    return person


def get_person_row(*, actor: User, person: Person) -> PersonRow:
    """What ``actor`` may know of a person that ``get_person`` gave."""
    beyond = _was_found(actor, person)
    row = _rows(actor, [person.pk], beyond=beyond)
    return _with_patients(actor, row, beyond=beyond)[0]


def may_know(actor: User, person: Person) -> bool:
    """Whether the account may know that this person exists."""
    sight = sight_of(actor)
    if sight.only_person not in (None, person.pk):
        return False
    return (
        visible_studies(actor).filter(person=person).exists()
        or LocalPatient.objects.filter(person=person, institution__in=_registers(actor)).exists()
        or sight.basis_of_person(person.pk) is not None
        or _was_found(actor, person)
    )


def person_studies(*, actor: User, person: Person) -> QuerySet[Study]:
    """The examinations of a person that ``actor`` may see, over all institutions, newest first."""
    return (
        visible_studies(actor)
        .filter(person=person)
        .select_related("institution")
        .order_by(F("study_date").desc(nulls_last=True), F("id").desc())
    )


def person_patients(*, actor: User, person: Person) -> list[LocalPatient]:
    """The local patients of a person of whom ``actor`` sees a study, or that are registered where it works."""
    return list(
        _patients_in_sight(actor)
        .filter(person=person)
        .select_related("institution")
        .order_by("institution__code", "pk")
    )


def get_patient_in_sight(*, actor: User, patient_id: int) -> tuple[LocalPatient, str]:
    """One local patient, and the basis on which its identity may be read.

    Raises:
        NotFound: there is none, or ``actor`` sees no study of it and does not work where it is registered.
    """
    patient = LocalPatient.objects.select_related("institution").filter(pk=patient_id).first()
    if patient is not None:
        study = visible_studies(actor).filter(local_patient=patient).first()
        basis = decide(actor, study).basis if study is not None else None
        if basis is not None:
            return patient, str(basis)
        if patient.institution_id in _registers(actor):
            return patient, OWN_PATIENT
        of_person = sight_of(actor).basis_of_person(patient.person_id)
        if of_person is not None:
            return patient, str(of_person)
    raise NotFound("There is no such patient.")


def resolve(key: str) -> Person | None:
    """The person of a key; where it was joined with another and nobody is left, the other."""
    person = Person.objects.filter(key=key).first()
    seen: set[int] = set()
    while person is not None and person.pk not in seen:
        seen.add(person.pk)
        if LocalPatient.objects.filter(person=person).exists():
            return person
        event = LinkEvent.objects.filter(from_person=person, undone_by=None).order_by("-pk").first()
        person = event.to_person if event is not None else person
    return person


def id_of(key: str) -> int | None:
    """The row of a person's key, as ``resolve``; at most some seconds old."""
    found = _ids.get(key)
    if found is None:
        person = resolve(key)
        found = person.pk if person is not None else 0
        _ids.put(key, found)
    return found or None


def local_numbers(*, actor: User, key: str) -> list[str]:
    """``{institution}:{number}`` of every patient of this person of whom ``actor`` sees something."""
    person = id_of(key)
    if person is None:
        return []
    rows = _patients_in_sight(actor).filter(person=person).exclude(number="")
    return [
        f"{code}:{number}"
        for code, number in rows.values_list("institution__code", "number").distinct()
        if not set(number) & set('*?\\"')  # wild in a search: not to be asked for
    ]


def treats(actor: User) -> bool:
    """Whether the account treats patients at an institution that takes part."""
    if not (actor.is_authenticated and actor.is_active) or sight_of(actor).only_person is not None:
        return False
    today = timezone.localdate()
    return (
        actor.memberships.filter(
            Q(valid_until__isnull=True) | Q(valid_until__gt=today),
            valid_from__lte=today,
            role__in=TREAT,
            institution__isnull=False,
        )
        .exclude(institution__state__in=SEES_NO_PARTNER)
        .exists()
    )


def _registers(actor: User) -> list[int]:
    """The institutions whose patients ``actor`` knows, examined or not; none in a launch."""
    sight = sight_of(actor)
    return sorted(sight.own) if sight.only_person is None else []


def _exact(actor: User, search: PersonSearch, beyond: bool) -> tuple[list[int], bool]:
    patients = LocalPatient.objects.filter(of_patients(search))
    if not beyond:
        patients = patients.filter(pk__in=_patients_in_sight(actor))
    return list(patients.values_list("person_id", flat=True).distinct()[:MOST_PATIENTS]), False


def _loose(actor: User, search: PersonSearch) -> tuple[list[int], bool]:
    if search.about_patients:
        patients = _patients_in_sight(actor).filter(of_patients(search))
        rows = list(patients.values_list("pk", "person_id")[: MOST_PATIENTS + 1])
        cut, rows = len(rows) > MOST_PATIENTS, rows[:MOST_PATIENTS]
        if not search.about_studies:
            return [person for _, person in rows], cut
        studies = visible_studies(actor).filter(local_patient__in=[pk for pk, _ in rows])
    else:
        studies, cut = visible_studies(actor), False
    found = studies.filter(of_studies(search)).order_by(
        F("study_date").desc(nulls_last=True), F("id").desc()
    )
    persons = list(found.values_list("person_id", flat=True)[: MOST_STUDIES + 1])
    kept = [each for each in persons[:MOST_STUDIES] if each is not None]
    return kept, cut or len(persons) > MOST_STUDIES


def _patients_in_sight(actor: User) -> QuerySet[LocalPatient]:
    """Those of whom ``actor`` sees a study, and those who are registered where it works."""
    seen = visible_studies(actor).filter(local_patient=OuterRef("pk"))
    return LocalPatient.objects.filter(Q(institution__in=_registers(actor)) | Q(Exists(seen)))


def _rows(actor: User, ids: Sequence[int], *, beyond: bool) -> list[PersonRow]:
    """A row for each person; patients come later, for the page alone."""
    seen = _summaries(visible_studies(actor).filter(person__in=ids))
    all_of = (
        _summaries(Study.objects.filter(person__in=ids).exclude(institution__state=LEFT))
        if beyond
        else seen
    )
    people = Person.objects.in_bulk(ids)
    sight = sight_of(actor)
    rows = []
    for pk in ids:
        mine, every = seen.get(pk), all_of.get(pk)
        shown = every if every is not None and (mine is None or every.count >= mine.count) else mine
        count = mine.count if mine else 0
        row = PersonRow(
            person=people[pk],
            patients=(),
            in_sight=bool(count) or sight.basis_of_person(pk) is not None,
            count=count,
            total=max(count, every.count if every else 0),
        )
        rows.append(row if shown is None else shown.fill(row))
    return rows


def _newest_first(rows: list[PersonRow]) -> list[PersonRow]:
    return sorted(rows, key=lambda row: (row.last or date.min, row.person.pk), reverse=True)


@dataclass(frozen=True)
class _Summary:
    count: int
    institution_ids: tuple[int, ...]
    modalities: tuple[str, ...]
    first: date | None
    last: date | None

    def fill(self, row: PersonRow) -> PersonRow:
        return replace(
            row,
            institution_ids=self.institution_ids,
            modalities=self.modalities,
            first=self.first,
            last=self.last,
        )


def _summaries(studies: QuerySet[Study]) -> dict[int, _Summary]:
    rows = (
        studies.order_by()
        .values("person_id")
        .annotate(
            many=Count("study_instance_uid", distinct=True),
            at=ArrayAgg("institution_id", distinct=True),
            kinds=JSONBAgg("modalities"),
            first=Min("study_date"),
            last=Max("study_date"),
        )
    )
    return {
        row["person_id"]: _Summary(
            count=row["many"],
            institution_ids=tuple(sorted(row["at"])),
            modalities=tuple(sorted({one for each in row["kinds"] for one in each or ()})),
            first=row["first"],
            last=row["last"],
        )
        for row in rows
    }


def _with_patients(
    actor: User, rows: Iterable[PersonRow], *, beyond: bool
) -> tuple[PersonRow, ...]:
    page = list(rows)
    patients = LocalPatient.objects if beyond else _patients_in_sight(actor)
    found: dict[int, list[LocalPatient]] = {}
    wanted = patients.filter(person__in=[row.person.pk for row in page]).select_related(
        "institution"
    )
    for patient in wanted.order_by("pk"):
        found.setdefault(patient.person_id, []).append(patient)
    mine = set(_registers(actor))
    return tuple(
        replace(
            row,
            patients=tuple(found.get(row.person.pk, ())),
            in_sight=row.in_sight
            or any(each.institution_id in mine for each in found.get(row.person.pk, ())),
        )
        for row in page
    )


def _known_best(patient: LocalPatient) -> tuple[bool, bool, bool, int]:
    return (
        patient.registered_at is None,
        not patient.name,
        patient.birth_date is None,
        patient.pk,
    )


def _note(actor: User, search: PersonSearch, page: PersonPage) -> None:
    asked = [name for name, value in vars(search).items() if value and name != "page"]
    audit.record(
        actor,
        "person.search",
        object_type="sharing.person",
        purpose="search",
        detail={"asked": asked, "found": page.count, "page": search.page},
        person_key=page.rows[0].person.key if len(page.rows) == 1 else None,
    )


def _remember(actor: User, rows: Iterable[PersonRow]) -> None:
    """Their pages may be opened: from there an encounter is registered, consent asked, an emergency declared."""
    keys = {_found_key(actor, row.person.pk): 1 for row in rows}
    try:
        if keys:
            cache.set_many(keys, FOUND_KEPT_S)
    except RedisError as error:
        log.warning("person.found_not_kept", reason=type(error).__name__)


def _was_found(actor: User, person: Person) -> bool:
    if not treats(actor):
        return False
    try:
        return cache.get(_found_key(actor, person.pk)) is not None
    except RedisError as error:
        log.warning("person.found_not_read", reason=type(error).__name__)
        return False


def _found_key(actor: User, person_id: int) -> str:
    return f"person-found:{actor.pk}:{person_id}"
