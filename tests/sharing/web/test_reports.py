"""Reports beside the images: who reads them, what changed, and that what a report says is text."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from common.audit.models import RepeatedAccess
from tests.support.pages import UID, Province, inline_parts, make_province
from tests.support.reports import content, take

pytestmark = pytest.mark.django_db
STUDY = f"{UID}.1"


@pytest.fixture
def province() -> Province:
    found = make_province()
    take(
        found.east,
        content("final", "两肺清晰。心影不大。", impression="未见异常。"),
        study_instance_uid=STUDY,
    )
    take(
        found.east,
        content(
            "amended",
            "两肺清晰。右肺结节。心影不大。",
            minutes=90,
            impression="右肺结节。",
            author="李医生",
        ),
        study_instance_uid=STUDY,
    )
    return found


def pages_of(uid: str = STUDY, code: str = "EAST") -> list[str]:
    return [
        reverse("sharing:study", args=[code, uid]),
        reverse("sharing:report", args=[code, uid]),
        reverse("sharing:report-beside", args=[uid]),
    ]


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_newest_version_is_shown_with_its_author_and_what_changed(
    province: Province, language: str
) -> None:
    client = province.client("clinician", language=language)

    for address in pages_of():
        html = client.get(address).content.decode()

        assert "李医生" in html, address
        assert "<ins>右肺结节。</ins>" in html
        assert "<del>未见异常。</del>" in html
        assert inline_parts(html) == []
        assert ("已修订" if language == "zh-hans" else "Amended") in html


@pytest.mark.parametrize("role", ["commission", "auditor", "operator", "radiologist"])
def test_who_may_not_see_the_study_reads_nothing_of_its_report(
    province: Province, role: str
) -> None:
    client = province.client(role, institution=province.west)

    for address in pages_of():
        answer = client.get(address)
        assert "结节" not in answer.content.decode()
        assert answer.status_code in {200, 404}  # the study's page without its patient, or none
    assert client.get(reverse("sharing:report", args=["EAST", STUDY])).status_code == 404
    assert not RepeatedAccess.objects.filter(values__action="report.view").exists()


def test_a_report_that_is_read_is_in_the_audit(province: Province) -> None:
    province.client("radiologist").get(reverse("sharing:report", args=["EAST", STUDY]))

    (access,) = RepeatedAccess.objects.filter(values__action="report.view")
    assert access.values["basis"] == "own-institution"
    assert access.values["study_instance_uid"] == STUDY


def test_what_a_report_says_is_text_and_never_markup(province: Province) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7|add:7 }}"
    take(
        province.east,
        content(findings=evil, impression=evil, author=evil, title=evil),
        study_instance_uid=f"{UID}.2",
    )

    for address in pages_of(f"{UID}.2"):
        html = province.client("radiologist").get(address).content.decode()
        assert "&lt;script&gt;alert(1)" in html
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "{{ 7|add:7 }}" in html


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_report_that_was_taken_back_says_so_first(province: Province, status: str) -> None:
    take(province.east, content(status, "", minutes=120), study_instance_uid=STUDY)

    html = province.client("radiologist").get(pages_of()[1]).content.decode()

    assert "taken this report back" in html
    assert "右肺结节" in html  # in the history


def test_the_light_viewer_says_that_there_is_a_report_and_not_what_it_says(
    province: Province,
) -> None:
    client = province.client("radiologist")
    with_report = client.get(reverse("sharing:view", args=["EAST", STUDY, f"{STUDY}.1"]))
    without = client.get(reverse("sharing:view", args=["EAST", f"{UID}.2", f"{UID}.2.1"]))

    html = with_report.content.decode()
    assert reverse("sharing:report", args=["EAST", STUDY]) in html
    assert "结节" not in html
    assert "report-drawer" not in without.content.decode()


@pytest.mark.parametrize(("role", "told"), [("radiologist", True), ("commission", False)])
def test_the_list_of_studies_says_the_state_of_their_reports(
    province: Province, role: str, told: bool
) -> None:
    html = province.client(role).get(reverse("sharing:studies")).content.decode()

    assert ("Amended" in html) is told


def test_a_study_without_a_report_says_so(province: Province) -> None:
    html = province.client("radiologist").get(pages_of(f"{UID}.2")[1]).content.decode()

    assert "No report has been received" in html


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_report_opens_beside_the_pictures_on_a_phone_and_at_a_desk(
    live_server: Any, browsing: Any
) -> None:
    province, page, complaints = browsing
    take(province.east, content(impression="右肺结节。" * 30), study_instance_uid=STUDY)
    address = live_server.url + reverse("sharing:view", args=["EAST", STUDY, f"{STUDY}.1"])

    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        page.locator(".report-drawer summary").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".report-drawer .report")
        shown = page.locator(".report-drawer").bounding_box()
        stage = page.locator(".stage").bounding_box()

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width > 1000:
            assert shown["x"] >= stage["x"] + stage["width"]
    # The pictures of this province are rows without an archive behind them.
    assert [each for each in complaints if "50" not in each and "404" not in each] == []
