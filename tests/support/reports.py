"""Reports for tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sharing.domain.report import ReportContent, ReportStatus
from sharing.models import ReportVersion
from sharing.services import reports

AT = dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)


def content(
    status: str = "final", findings: str = "两肺纹理清晰。", *, minutes: int = 0, **values: Any
) -> ReportContent:
    """One version, so many minutes after the first."""
    at = values.pop("reported_at", AT + dt.timedelta(minutes=minutes))
    return ReportContent(ReportStatus(status), at, findings=findings, **values)


def take(institution: Any, told: ReportContent, **named: Any) -> reports.Receipt:
    """Taken in from the system; of the study that is named."""
    named.setdefault("actor", "test")
    named.setdefault("source", ReportVersion.Source.REST)
    return reports.take_in(institution_id=institution.pk, content=told, **named)
