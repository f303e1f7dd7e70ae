"""The report beside OHIF's pictures, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from tests.scenarios.test_ohif import reader_at, site
from tests.support import archive as archives
from tests.support.dicom_files import row
from tests.support.ohif import Viewer
from tests.support.reports import content, take
from tests.support.services import Server

__all__ = ["site"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
NAME = "cornerstone/ctimage.dcm"


@pytest.mark.usefixtures("site")
def test_the_report_opens_over_the_viewer_and_closes_again(
    tab: Callable[..., Viewer], web: Callable[..., Server], tmp_path: Path, archive: Any
) -> None:
    hospital = archives.make_institution("H1")
    with transaction.atomic():
        archives.archive_files(hospital, [row(NAME).path], tmp_path=tmp_path)
    study = row(NAME).fields["study_instance_uid"]
    take(hospital, content(impression="右肺结节。<b>&"), study_instance_uid=study)
    take(
        hospital,
        content("amended", minutes=9, impression="右肺结节，建议复查。"),
        study_instance_uid=study,
    )
    viewer = tab(web().url, reader_at(hospital))

    viewer.open(study)
    viewer.page.get_by_role("button", name="报告", exact=True).click()
    panel = viewer.page.get_by_role("complementary", name="报告")
    panel.get_by_text("右肺结节，建议复查。").first.wait_for(timeout=30_000)
    panel.locator("summary").click()
    assert panel.get_by_text("右肺结节。<b>&").first.is_visible()
    viewer.shoot("report")
    viewer.page.keyboard.press("Escape")

    assert not panel.is_visible()
    viewer.assert_clean()
