"""Reports beside the images: a part of the study's page and of the viewers, and a page to read and print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from common.ui.pages import actor_of, is_fragment, page
from sharing import selectors
from sharing.domain.changes import Piece, changes
from sharing.models import ReportVersion
from sharing.selectors import reports as reads
from sharing.selectors.listing import StudyRow
from sharing.services import reports

PDF = "application/pdf"


@dataclass(frozen=True)
class Step:
    """One version in the history, and what it changed of the one before."""

    version: ReportVersion
    impression: list[Piece]
    findings: list[Piece]


@dataclass(frozen=True)
class ShownReport:
    """A report as the pages show it."""

    found: reads.ReportOfStudy
    document_url: str

    @property
    def current(self) -> ReportVersion:
        return self.found.current

    @property
    def is_pdf(self) -> bool:
        return self.current.document_type == PDF

    @property
    def history(self) -> list[Step]:
        """All versions, the newest first; none where there is one alone."""
        versions = self.found.versions
        if len(versions) < 2:
            return []
        older = [*versions[1:], None]
        return [_step(new, old) for new, old in zip(versions, older, strict=True)]


@require_safe
def report(request: HttpRequest, code: str, study_uid: str) -> HttpResponse:
    """``GET /studies/{code}/{uid}/report/``: to be read and printed; for htmx the part that viewers show."""
    study = selectors.get_visible_study(
        actor=actor_of(request), study_instance_uid=study_uid, institution_code=code
    )
    context = {"study": study, "read_at": timezone.now(), **_shown(request, study)}
    return page(request, "sharing/report.html", context, fragment="sharing/_reports.html")


@require_safe
def beside(request: HttpRequest, study_uid: str) -> HttpResponse:
    """``GET /reports/of/{uid}/``: the part that the full viewer shows, which knows a study by its UID alone."""
    study = selectors.get_visible_study(actor=actor_of(request), study_instance_uid=study_uid)
    return page(request, "sharing/_reports.html", {"study": study, **_shown(request, study)})


def study_context(request: HttpRequest, row: StudyRow) -> dict[str, Any] | None:
    """The part of the study's page; nothing for who sees how a study is kept and not whose it is."""
    if not row.basis:
        return None
    if is_fragment(request):
        return None
    return {"study": row.study, **_shown(request, row.study)}


def _shown(request: HttpRequest, study: Any) -> dict[str, Any]:
    actor = actor_of(request)
    found = reads.reports_of(actor, study)
    reports.note_view(actor, found)
    return {"reports": [ShownReport(each, _document_url(each)) for each in found]}


def _document_url(found: reads.ReportOfStudy) -> str:
    version, study = found.current, found.report.study
    if study is None or not version.document_instance_uid:
        return ""
    series = reverse(
        "dicomweb:at:series",
        args=[found.report.institution.code, study.study_instance_uid, version.document_series_uid],
    )
    return f"{series}/instances/{version.document_instance_uid}/rendered"


def _step(new: ReportVersion, old: ReportVersion | None) -> Step:
    return Step(
        new,
        changes(old.impression if old else new.impression, new.impression),
        changes(old.findings if old else new.findings, new.findings),
    )
