"""Reports within sight: of one study, of many studies in a list, by their number.

A report is seen by whoever may see its study. While it waits for its study nobody sees what it says; the integrator of
its institution sees that it waits.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Prefetch, QuerySet

from common.errors import NotFound
from sharing.models import Report, ReportVersion, Study
from sharing.permissions import decide, sight_of, store_targets, visible
from sharing.selectors.studies import visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User

MOST_OF_A_STUDY = 50
_Status = ReportVersion.Status
# Of several reports of one study the list says the one that a reader would open first.
_FIRST = (
    _Status.AMENDED,
    _Status.FINAL,
    _Status.PRELIMINARY,
    _Status.CANCELLED,
    _Status.ENTERED_IN_ERROR,
)


@dataclass(frozen=True)
class ReportState:
    """What a list says of a study's reports."""

    status: str
    count: int
    reported_at: datetime

    @property
    def label(self) -> str:
        """In the reader's language."""
        return str(_Status(self.status).label)

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class ReportOfStudy:
    """A report with all its versions, the newest first, and why it may be seen."""

    report: Report
    versions: tuple[ReportVersion, ...]
    basis: str = ""

    @property
    def current(self) -> ReportVersion:
        return self.versions[0]

    @property
    def earlier(self) -> tuple[ReportVersion, ...]:
        return self.versions[1:]


def visible_reports(actor: User) -> QuerySet[Report]:
    """Reports of the studies that ``actor`` may see."""
    return Report.objects.filter(visible(sight_of(actor), "study__"), study__isnull=False)


def report_states(actor: User, study_ids: Collection[int]) -> dict[int, ReportState]:
    """The state of the reports of these studies, by study; studies without a report are left out. One query."""
    rows = ReportVersion.objects.filter(
        visible(sight_of(actor), "report__study__"),
        is_current=True,
        report__study_id__in=study_ids,
    ).values_list("report__study_id", "status", "reported_at")
    found: dict[int, ReportState] = {}
    for study_id, status, reported_at in rows:
        known = found.get(study_id)
        if known is None:
            found[study_id] = ReportState(status, 1, reported_at)
        else:
            first = min((known.status, known.reported_at), (status, reported_at), key=_rank)
            found[study_id] = ReportState(first[0], known.count + 1, first[1])
    return found


def _rank(state: tuple[str, datetime]) -> tuple[int, float]:
    return _FIRST.index(_Status(state[0])), -state[1].timestamp()


def reports_of(actor: User, study: Study) -> list[ReportOfStudy]:
    """The reports on this examination, of every visible institution that holds it; what counts most comes first."""
    copies = visible_studies(actor).filter(study_instance_uid=study.study_instance_uid)
    reports = _with_versions(Report.objects.filter(study__in=copies.order_by().values("pk")))
    found = [_of_study(actor, report) for report in reports.order_by("pk")[:MOST_OF_A_STUDY]]
    return sorted(found, key=lambda each: _rank((each.current.status, each.current.reported_at)))


def reports_beside(actor: User, study: Study) -> ReportState | None:
    """The state of what ``reports_of`` shows of this examination; None without a report."""
    copies = visible_studies(actor).filter(study_instance_uid=study.study_instance_uid)
    states = report_states(actor, list(copies.order_by().values_list("pk", flat=True)))
    return min(
        states.values(), key=lambda each: _rank((each.status, each.reported_at)), default=None
    )


def get_report(*, actor: User, report_id: int) -> ReportOfStudy:
    """One report.

    Raises:
        NotFound: there is none, or its study may not be seen.
    """
    report = _with_versions(visible_reports(actor)).filter(pk=report_id).first()
    if report is None:
        raise NotFound("There is no such report.")
    return _of_study(actor, report)


def sent_report(*, actor: User, institution_id: int, number: str) -> ReportOfStudy:
    """A report as its sender finds it again, joined or waiting.

    Raises:
        NotFound: there is none, or ``actor`` is not an integrator of the institution.
    """
    mine = _sends_for(actor) & {institution_id}
    found = Report.objects.filter(institution_id__in=mine, number=number)
    report = _with_versions(found).first()
    if report is None:
        raise NotFound("There is no such report.")
    return _of_study(actor, report)


def sent_reports(actor: User, *, waiting: bool | None = None) -> QuerySet[Report]:
    """Reports of the institutions that ``actor`` sends for, the newest first."""
    reports = _with_versions(Report.objects.filter(institution_id__in=_sends_for(actor)))
    if waiting is not None:
        reports = reports.filter(study__isnull=waiting)
    return reports.order_by("-pk")


def as_sent(actor: User, report: Report) -> ReportOfStudy:
    """A report of ``sent_reports`` with its versions."""
    return _of_study(actor, report)


def _sends_for(actor: User) -> set[int]:
    return {each.institution_id for each in store_targets(actor) if not each.derived_only}


def _with_versions(reports: QuerySet[Report]) -> QuerySet[Report]:
    versions = ReportVersion.objects.order_by("-number").select_related("sent_by")
    return reports.select_related("institution", "study__institution").prefetch_related(
        Prefetch("versions", versions)
    )


def _of_study(actor: User, report: Report) -> ReportOfStudy:
    basis = decide(actor, report.study).basis if report.study else None
    return ReportOfStudy(report, tuple(report.versions.all()), str(basis or ""))
