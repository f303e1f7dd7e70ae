"""The list of studies with its search: what was asked, what of it this account may see, a page of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from django.db.models import F, Q, QuerySet

from common.dicom.names import query_grams
from common.errors import NotFound
from sharing.domain.body_parts import BodyPart, parts_of, terms_of
from sharing.models import Series, Study
from sharing.permissions import Basis, decide, sight_of
from sharing.selectors.overview import reach_of
from sharing.selectors.studies import visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User

PAGE = 25
DEEPEST_PAGE = 200  # beyond it a narrower question is the better way
COUNTED_TO = 1_000
LOOKED_THROUGH = 3_000  # for a part of the body

ORDERS = {
    "-date": (F("study_date").desc(nulls_last=True), F("id").desc()),
    "date": (F("study_date").asc(nulls_last=True), F("id").asc()),
    "-found": (F("id").desc(),),
    "found": (F("id").asc(),),
}


@dataclass(frozen=True)
class StudySearch:
    """A question to the list. The first seven identify a patient: they never stand in an address.

    ``number`` is a patient's or an examination's, whoever typed it did not say which. ``person_ids`` are those that
    an identity led to; none of them found is an empty tuple, and then nothing matches.
    """

    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    number: str = ""
    sex: str = ""
    birth_date: date | None = None
    person_ids: tuple[int, ...] | None = None
    body_part: str = ""
    since: date | None = None
    until: date | None = None
    modality: str = ""
    institution_code: str = ""
    state: str = ""
    study_instance_uid: str = ""
    order: str = "-date"
    page: int = 1

    @property
    def about_a_patient(self) -> bool:
        return self.person_ids is not None or bool(
            self.patient_name or self.patient_id or self.accession_number or self.number
            or self.birth_date
        )  # fmt: skip

    @property
    def empty(self) -> bool:
        return not (
            self.about_a_patient or self.since or self.until or self.modality
            or self.institution_code or self.state or self.study_instance_uid or self.body_part
            or self.sex
        )  # fmt: skip


@dataclass(frozen=True)
class StudyRow:
    """One line of the list. Without a basis the patient's columns are to be masked."""

    study: Study
    basis: Basis | None

    @property
    def person_key(self) -> str:
        """Of the page with all examinations of this patient; empty while the study has no person."""
        person = self.study.person
        return person.key if person else ""


@dataclass(frozen=True)
class StudyPage:
    """One page of an answer; ``count`` stops at ``COUNTED_TO``."""

    search: StudySearch
    rows: list[StudyRow] = field(default_factory=list)
    count: int = 0
    more: bool = False

    @property
    def count_is_floor(self) -> bool:
        return self.count > COUNTED_TO


def search_studies(*, actor: User, search: StudySearch) -> StudyPage:
    """One page of the studies that answer the question. Two queries, whatever the size of the index."""
    found = _matching(actor=actor, search=search)
    start = (search.page - 1) * PAGE
    studies = list(
        found.select_related("institution", "person").order_by(*ORDERS[search.order])[
            start : start + PAGE + 1
        ]
    )
    count = found.order_by()[: COUNTED_TO + 1].count()
    sight_of(actor).learn([study.pk for study in studies])
    return StudyPage(
        search=search,
        rows=[_row(actor, study) for study in studies[:PAGE]],
        count=count,
        more=len(studies) > PAGE and search.page < DEEPEST_PAGE,
    )


def newest_own(*, actor: User, limit: int = 8) -> list[StudyRow]:
    """The newest studies of the institutions in which the account works."""
    own = sight_of(actor).own
    studies = list(
        visible_studies(actor)
        .filter(institution_id__in=sorted(own))
        .select_related("institution", "person")
        .order_by(*ORDERS["-date"])[:limit]
    )
    return [_row(actor, study) for study in studies]


def count_studies(*, actor: User, search: StudySearch, limit: int) -> int:
    """How many rows the answer has, counted up to ``limit``."""
    return _matching(actor=actor, search=search).order_by()[:limit].count()


def export_studies(*, actor: User, search: StudySearch, limit: int) -> Iterator[StudyRow]:
    """Every row of the answer up to ``limit``, read in portions."""
    found = _matching(actor=actor, search=search).select_related("institution")
    for study in found.order_by(*ORDERS[search.order])[:limit].iterator(chunk_size=500):
        yield _row(actor, study)


def get_study_row(*, actor: User, institution_code: str, study_instance_uid: str) -> StudyRow:
    """One study: whole for those who may see it, without its patient for those who run the operation.

    Raises:
        NotFound: there is none, or neither applies.
    """
    study = (
        _within_sight(actor)
        .filter(institution__code=institution_code, study_instance_uid=study_instance_uid)
        .select_related("institution")
        .first()
    )
    if study is None:
        raise NotFound("There is no such study.")
    return _row(actor, study)


def may_list(actor: User) -> bool:
    """Whether the list can hold anything at all for this account."""
    return bool(sight_of(actor).sees_something or reach_of(actor))


def _row(actor: User, study: Study) -> StudyRow:
    return StudyRow(study=study, basis=decide(actor, study).basis)


def _within_sight(actor: User) -> QuerySet[Study]:
    return Study.objects.all() if sight_of(actor).operation else visible_studies(actor)


def _matching(*, actor: User, search: StudySearch) -> QuerySet[Study]:
    # A name may only be looked for among those whose names one may read: a masked hit is a disclosure too.
    studies = visible_studies(actor) if search.about_a_patient else _within_sight(actor)
    if search.patient_name:
        grams = query_grams(search.patient_name)
        studies = studies.filter(name_grams__contains=grams) if grams else studies.none()
    narrow = Q()
    for name, value in (
        ("patient_id", search.patient_id),
        ("patient_sex", search.sex),
        ("patient_birth_date", search.birth_date),
        ("accession_number", search.accession_number),
        ("study_date__gte", search.since),
        ("study_date__lte", search.until),
        ("institution__code", search.institution_code),
        ("state", search.state),
        ("study_instance_uid", search.study_instance_uid),
    ):
        if value:
            narrow &= Q(**{name: value})
    if search.modality:
        narrow &= Q(modalities__contains=[search.modality])
    if search.number:
        narrow &= Q(patient_id=search.number) | Q(accession_number=search.number)
    if search.person_ids is not None:
        narrow &= Q(person_id__in=search.person_ids)
    found = studies.filter(narrow)
    if not search.body_part:
        return found
    return Study.objects.filter(pk__in=_showing(found, search))


def _showing(found: QuerySet[Study], search: StudySearch) -> list[int]:
    """Of the first studies of an answer those whose series or description say that they are of a region.

    No index knows the regions, so a bounded part of the answer is looked through, in its order.
    """
    part = BodyPart(search.body_part)
    first = found.order_by(*ORDERS[search.order]).values_list("pk", "study_description")
    rows = list(first[:LOOKED_THROUGH])
    said = {pk for pk, description in rows if part in parts_of((), description)}
    of_series = Series.objects.filter(
        study_id__in=[pk for pk, _ in rows if pk not in said],
        body_part_examined__in=terms_of(part),
    )
    return sorted(said.union(of_series.values_list("study_id", flat=True)))
