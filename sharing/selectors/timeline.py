"""All examinations of one person that a reader may see, over every hospital, newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import F

from sharing.domain.body_parts import BodyPart, parts_of
from sharing.models import LinkEvent, LocalPatient, Person, Series, Study
from sharing.permissions import Basis, decide, sight_of
from sharing.selectors.studies import DERIVED_MODALITIES, holds_only_derived, visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User

MOST_NUMBERS = 100
_PICTURELESS = {*DERIVED_MODALITIES, "DOC", "ECG"}
MOST = 500  # studies of one person that a page shows; nobody has read more at once


@dataclass(frozen=True)
class TimelineRow:
    """One examination: why it may be seen, what it shows, whether there is a picture of it."""

    study: Study
    basis: Basis
    parts: tuple[BodyPart, ...] = ()

    @property
    def year(self) -> int | None:
        return self.study.study_date.year if self.study.study_date else None

    @property
    def has_picture(self) -> bool:
        """Whether a small picture may be asked for: something is here that is not only a report or a mark."""
        modalities = set(self.study.modalities)
        return bool(self.study.instance_count) and (
            not modalities or not modalities <= _PICTURELESS
        )


@dataclass(frozen=True)
class Facet:
    """A value to filter by, and how many of the person's examinations have it."""

    value: str
    label: str
    count: int


@dataclass(frozen=True)
class Narrowing:
    """What of the time line is wanted; empty means all. No patient in here: it may stand in an address."""

    modality: str = ""
    body_part: str = ""
    institution_code: str = ""

    def fits(self, row: TimelineRow) -> bool:
        study = row.study
        return (
            (not self.modality or self.modality in study.modalities)
            and (not self.body_part or self.body_part in row.parts)
            and (not self.institution_code or self.institution_code == study.institution.code)
        )


@dataclass(frozen=True)
class PatientPage:
    """What the patient's page shows; without rows there is nothing that the reader may see yet."""

    person: Person
    rows: list[TimelineRow]
    narrowing: Narrowing
    shown: list[TimelineRow]
    more: bool = False  # there are older ones than the page takes

    @property
    def newest(self) -> Study | None:
        """Says who it is, as of the last time."""
        return self.rows[0].study if self.rows else None

    @property
    def institutions(self) -> int:
        return len({row.study.institution_id for row in self.rows})

    @property
    def first_date(self) -> date | None:
        return min(
            (row.study.study_date for row in self.rows if row.study.study_date), default=None
        )

    @property
    def modalities(self) -> list[Facet]:
        found = Counter(each for row in self.rows for each in row.study.modalities)
        return [Facet(each, each, n) for each, n in sorted(found.items())]

    @property
    def body_parts(self) -> list[Facet]:
        found = Counter(part for row in self.rows for part in row.parts)
        return [Facet(part.value, part.value, found[part]) for part in BodyPart if found[part]]

    @property
    def hospitals(self) -> list[Facet]:
        names = {row.study.institution.code: row.study.institution.name for row in self.rows}
        found = Counter(row.study.institution.code for row in self.rows)
        return [Facet(code, names[code], n) for code, n in found.most_common()]


def patient_page(*, actor: User, person: Person, narrowing: Narrowing | None = None) -> PatientPage:
    """The time line of a person in three queries, whatever the number of hospitals; perhaps empty."""
    studies = _studies(actor, person)
    wanted = narrowing or Narrowing()
    rows = with_parts([TimelineRow(study, basis) for study, basis in studies[:MOST]])
    return PatientPage(
        person=person,
        rows=rows,
        narrowing=wanted,
        shown=[row for row in rows if wanted.fits(row)],
        more=len(studies) > MOST,
    )


def numbers_of(person_id: int) -> list[tuple[str, str]]:
    """Institution and number of every local patient of a person: what the hospitals are asked for."""
    rows = LocalPatient.objects.filter(person_id=person_id).exclude(number="")
    return list(rows.values_list("institution__code", "number").order_by("pk")[:MOST_NUMBERS])


def link_history(*, patients: Collection[LocalPatient]) -> list[LinkEvent]:
    """How these local patients came to one person, newest first."""
    rows = LinkEvent.objects.filter(patient__in=patients).select_related(
        "patient__institution", "actor"
    )
    return list(rows.order_by("-pk")[:MOST_NUMBERS])


def with_parts(rows: Sequence[TimelineRow]) -> list[TimelineRow]:
    """The rows with the regions that they show, in one query."""
    terms = _terms_of([row.study.pk for row in rows])
    return [
        replace(row, parts=parts_of(terms.get(row.study.pk, ()), row.study.study_description))
        for row in rows
    ]


def _studies(actor: User, person: Person) -> list[tuple[Study, Basis]]:
    """Each examination once: of one that several institutions hold, the primary copy."""
    found = (
        visible_studies(actor)
        .filter(person=person)
        .select_related("institution")
        .annotate(notes_only=holds_only_derived())
        .order_by(F("study_date").desc(nulls_last=True), F("study_time").desc(), "-id")[: MOST + 1]
    )
    copies: dict[str, list[Study]] = {}
    for study in found:
        copies.setdefault(study.study_instance_uid, []).append(study)
    chosen = [min(each, key=_primary) for each in copies.values()]
    sight_of(actor).learn([study.pk for study in chosen])
    decided = ((study, decide(actor, study).basis) for study in chosen)
    return [(study, basis) for study, basis in decided if basis is not None]


def _primary(study: Study) -> tuple[int, bool, datetime, int]:
    """The order of ``selectors.primary_order``, for rows that were read."""
    archived_at = study.archived_at
    return study.notes_only, archived_at is None, archived_at or study.found_at, study.pk  # type: ignore[attr-defined]


def _terms_of(study_ids: Iterable[int]) -> dict[int, list[str]]:
    rows = (
        Series.objects.filter(study_id__in=list(study_ids))
        .exclude(body_part_examined="")
        .values("study_id")
        .annotate(terms=ArrayAgg("body_part_examined", distinct=True))
        .order_by()
    )
    return {row["study_id"]: row["terms"] for row in rows}
