"""The demo's reports come before its studies, once, and find them."""

from __future__ import annotations

import pytest

from config import demo_reports
from sharing.models import Report, ReportVersion
from tests.support import archive

pytestmark = pytest.mark.django_db


def test_the_demos_reports_are_sent_once_and_joined_with_their_studies() -> None:
    university = archive.make_institution(demo_reports.UNIVERSITY)
    archive.make_institution(demo_reports.COUNTY)

    demo_reports.seed()
    demo_reports.seed()
    study = archive.make_indexed_study(
        university, "1.2.3", accession_number="UCT240901", patient_id="U20240017"
    )

    assert ReportVersion.objects.count() == len(demo_reports.REPORTS)
    report = Report.objects.get(study=study)
    assert [each.status for each in report.versions.all()] == ["preliminary", "final", "amended"]
