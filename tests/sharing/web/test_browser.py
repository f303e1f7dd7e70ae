"""The pages in a real browser: nothing refused by the policy, nothing thrown, the search without a reload."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.support.pages import make_province

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def browsing(live_server, chromium):
    """A page of a logged-in reader, on a phone, and what its console complained of."""
    province = make_province()
    session = province.client("radiologist").cookies[settings.SESSION_COOKIE_NAME].value
    context = chromium.new_context(viewport={"width": 360, "height": 780}, locale="zh-CN")
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield province, page, complaints
    context.close()


def test_a_reader_finds_a_patient_on_a_phone(live_server, browsing):
    province, page, complaints = browsing
    for address in ("/", "/hospitals/EAST/", "/studies/"):
        page.goto(live_server.url + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
    assert page.locator("h1").inner_text() == "检查"

    page.fill("#f-name", "zhangsan")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        page.press("#f-name", "Enter")
    page.wait_for_selector("#results:not(.htmx-request) tbody tr")

    assert answer.value.request.headers["hx-request"] == "true"
    assert page.locator("#results tbody tr").count() == 1
    assert page.url == f"{live_server.url}/studies/"
    page.click("#results tbody a")
    page.wait_for_url(f"**/{province.study.study_instance_uid}/")
    assert "张三" in page.locator("h1").inner_text()
    assert complaints == []


def test_the_keyboard_help_opens_and_the_slash_goes_to_the_search(live_server, browsing):
    _province, page, complaints = browsing
    page.goto(f"{live_server.url}/studies/")

    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "f-name"
    page.locator("h1").click()
    page.keyboard.press("?")

    assert page.locator("dialog#keys").is_visible()
    assert complaints == []
