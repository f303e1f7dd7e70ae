"""The pages in a real browser: nothing refused by the policy, nothing thrown, the search without a reload."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import transaction

from tests.support.archive import archive_files
from tests.support.dicom_files import row
from tests.support.pages import make_province, make_study

CINE = "dcmjs/cine-test.dcm"
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


def test_the_light_viewer_shows_the_pictures_of_a_real_series(
    live_server, browsing, settings, tmp_path
):
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    province, page, complaints = browsing
    files = [row("cornerstone/ctimage.dcm"), row(CINE)]
    with transaction.atomic():
        archive_files(province.east, [file.path for file in files], tmp_path=tmp_path)

    for file, count in zip(files, (1, 8), strict=True):
        uids = file.fields["study_instance_uid"], file.fields["series_instance_uid"]
        page.goto("{}/studies/EAST/{}/view/{}/".format(live_server.url, *uids))
        # Its source is set once the picture has been decoded.
        page.wait_for_selector(".stage img[src*='/rendered']")
        assert page.locator(".stage output").inner_text() == f"1 / {count}"

    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".stage img[src*='/frames/2/']")
    page.click("#invert")

    assert page.locator(".stage output").inner_text() == "2 / 8"
    assert page.locator(".stage.inverted").count() == 1
    assert complaints == []


def test_the_list_is_paged_in_place_and_taken_away_as_a_file(live_server, browsing):
    province, page, complaints = browsing
    for number in range(4, 31):
        make_study(province.east, number, name="Zhao^Lei=赵^雷")
    page.goto(f"{live_server.url}/studies/")
    page.fill("#f-name", "赵雷")
    page.press("#f-name", "Enter")
    page.wait_for_selector("#results:has-text('27')")

    page.click("#results nav button[value='2']")
    page.wait_for_selector("#results button[value='1']")

    assert page.locator("#results tbody tr").count() == 2
    assert page.url == f"{live_server.url}/studies/"
    with page.expect_download() as download:
        page.click("#results button.quiet")
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 28
    assert complaints == []
