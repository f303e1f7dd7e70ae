"""The pages in a real browser: nothing refused by the policy, nothing thrown, the search without a reload."""

from __future__ import annotations

import pytest

from tests.support.pages import make_study

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
    page.click("#results tbody th a")
    page.wait_for_url(f"**/{province.study.study_instance_uid}/")
    assert "张三" in page.locator("h1").inner_text()
    assert complaints == []


def test_the_keyboard_help_opens_and_the_slash_goes_to_the_search(live_server, browsing):
    _province, page, complaints = browsing
    page.goto(f"{live_server.url}/studies/")

    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "f-quick"
    page.locator("h1").click()
    page.keyboard.press("?")

    assert page.locator("dialog#keys").is_visible()
    assert complaints == []


def test_the_list_is_paged_in_place_and_taken_away_as_a_file(live_server, browsing):
    province, page, complaints = browsing
    for number in range(4, 31):
        make_study(province.east, number, name="Zhao^Lei=赵^雷")
    page.goto(f"{live_server.url}/studies/")
    page.fill("#f-name", "赵雷")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.press("#f-name", "Enter")
    page.wait_for_selector("#results:not(.htmx-request):has-text('27')")

    page.click("#results nav button[value='2']")
    page.wait_for_selector("#results button[value='1']")

    assert page.locator("#results tbody tr").count() == 2
    assert page.url == f"{live_server.url}/studies/"
    with page.expect_download() as download:
        page.click("#results button.quiet")
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 28
    assert complaints == []
