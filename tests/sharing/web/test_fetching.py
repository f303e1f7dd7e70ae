"""In a real browser: an examination is fetched where it is looked at, and the hospitals are asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from sharing import permissions, selectors
from sharing.models import Study
from sharing.services import federated
from tests.support.archive import make_user
from tests.support.installation import wait_until
from tests.support.pulling import STUDY, Hospital, discover, instance, settle

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@dataclass
class Browsing:
    """A page, what its console complained of, and where it is."""

    page: Any
    complaints: list[str]
    url: str

    def picture(self, name: str) -> None:
        """Kept for people where a folder is named."""
        if folder := os.environ.get("KEEP_SCREENSHOTS"):
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.fixture
def browsing(
    hospital: Hospital, live_server: Any, chromium: Any, settings: Any
) -> Iterator[Browsing]:
    """The radiologist of a hospital that lists one study of 40 images, none of them here."""
    settings.ON_DEMAND_WAIT_S = settings.FEDERATED_DEADLINE_S = 3
    permissions.forget_sights()
    selectors.forget_places()
    federated._recent.clear()
    for number in range(1, 41):
        hospital.origin.add(instance(number, PatientID="P1", name="Zhang^San=张^三"))
    client = Client()
    client.force_login(make_user("reader", "radiologist", hospital.institution))
    name = django_settings.SESSION_COOKIE_NAME
    context = chromium.new_context(viewport={"width": 1000, "height": 900}, locale="zh-CN")
    context.add_cookies(
        [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield Browsing(page, complaints, live_server.url)
    context.close()
    hospital.origin.released.set()
    settle()


def test_fetch_now_shows_the_progress_and_opens_the_images(hospital, browsing):
    discover(hospital.id, index_only=True)
    hospital.origin.manners.pause_s = 0.15
    page = browsing.page
    page.goto(f"{browsing.url}/studies/H1/{STUDY}/")
    assert "影像仍在医院" in page.locator("#fetch").inner_text()
    browsing.picture("fetch-before")

    page.click("#fetch button")
    page.wait_for_selector("#fetch progress[value]")
    wait_until(
        "some images have come",
        lambda: int(page.locator("#fetch progress").get_attribute("value") or 0) > 3,
        timeout_s=10,
    )
    browsing.picture("fetch-progress")
    page.wait_for_url("**/view/**", timeout=30_000)

    assert page.locator(".light").count() == 1
    browsing.picture("fetch-viewer")
    wait_until("it is archived", lambda: Study.objects.get().state == "archived", timeout_s=10)
    assert browsing.complaints == []


def test_a_hospital_that_is_away_is_said_in_words_with_a_way_to_try_again(hospital, browsing):
    discover(hospital.id, index_only=True)
    hospital.origin.manners.status = 503
    page = browsing.page
    page.goto(f"{browsing.url}/studies/H1/{STUDY}/")

    page.click("#fetch button")
    page.wait_for_selector("#fetch [role=alert]")

    assert "目前无法向该医院的影像系统调取" in page.locator("#fetch").inner_text()
    assert page.locator("#fetch button").inner_text() == "重试"
    browsing.picture("fetch-away")
    assert browsing.complaints == []


def test_asking_the_hospitals_finds_what_the_index_did_not_have_and_says_who_answered(
    hospital, browsing, make_hospital
):
    page = browsing.page
    page.goto(f"{browsing.url}/studies/")
    page.fill("#f-id", "P1")
    page.press("#f-id", "Enter")
    page.wait_for_selector("#results .empty")

    page.click("button[name=ask]")
    page.wait_for_selector("#results tbody tr th a")

    assert "已应答" in page.locator("#results").inner_text()
    assert "张三" in page.locator("#results").inner_text()
    browsing.picture("ask-answered")
    assert browsing.complaints == []


def test_a_partial_answer_never_looks_complete(hospital, browsing):
    hospital.origin.manners.search_json = "<html>"
    page = browsing.page
    page.goto(f"{browsing.url}/studies/")
    page.fill("#f-id", "P1")

    page.click("button[name=ask]")
    page.wait_for_selector("#results .note.warn")

    text = page.locator("#results").inner_text()
    assert "1 家医院中有 0 家应答：此列表可能不全" in text
    browsing.picture("ask-partial")
    assert page.locator("#results details[open]").count() == 1


def test_a_question_that_everything_answers_is_refused_in_words(hospital, browsing):
    page = browsing.page
    page.goto(f"{browsing.url}/studies/")

    page.click("button[name=ask]")
    page.wait_for_selector("#results [role=alert]")

    assert "检索条件过宽" in page.locator("#results").inner_text()
    assert hospital.origin.requests == []
