"""A real browser shows the view inside of the order-entry system's page, which is of another site."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sharing.launch.conftest import Ward, make_ward
from tests.support.his import his_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def launch_address(ward: Ward, live_server: Any) -> str:
    return live_server.url + urlsplit(ward.ask().json()["url"]).path


def frame_of(address: str) -> str:
    return f'<title>HIS</title><iframe id="view" src="{address}" width="900" height="700"></iframe>'


@pytest.fixture
def ward(live_server: Any) -> Ward:
    assert urlsplit(live_server.url).hostname == "localhost"  # another site than 127.0.0.1
    return make_ward()


def allow(ward: Ward, origin: str) -> None:
    ward.system.origins = [origin]
    ward.system.save()


def test_the_time_line_opens_in_a_frame_of_another_site(
    live_server: Any, chromium: Any, ward: Ward
) -> None:
    context = chromium.new_context(locale="zh-CN")
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    with his_page(frame_of(launch_address(ward, live_server))) as his:
        allow(ward, his)
        page.goto(his)
        inside = page.frame_locator("#view")
        inside.locator("h1").wait_for(timeout=20_000)

        assert "张" in inside.locator("h1").inner_text()
        assert "李医师" in inside.locator(".who").inner_text()
        assert inside.locator("nav.main").count() == 0
        frame = page.frames[1]
        assert frame.url == f"{live_server.url}/patients/{ward.treated.person.key}/"
        # The view's own requests carry the cookie too; what is not of this person does not open.
        statuses = frame.evaluate(
            """async () => {
                const ask = path => fetch(path, {headers: {Accept: "application/dicom+json"}});
                const found = await (await ask("/dicom-web/studies")).json();
                const other = await ask("/dicom-web/studies/1.2.3.3/metadata");
                return [found.length, other.status, document.cookie.includes("launch")];
            }"""
        )
        assert statuses == [2, 404, False]
        (cookie,) = [each for each in context.cookies() if each["name"] == "launch"]
        assert (cookie["sameSite"], cookie["secure"], cookie["httpOnly"]) == ("None", True, True)

        inside.locator(".who button").click()
        inside.get_by_text("视图已结束").or_(inside.get_by_text("This view has ended")).wait_for()
        assert frame.evaluate("async () => (await fetch('/dicom-web/studies')).status") == 401
    assert [each for each in complaints if "404" not in each and "401" not in each] == []
    context.close()


def test_the_page_of_a_site_that_was_not_named_shows_nothing(
    live_server: Any, chromium: Any, ward: Ward
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    refusals: list[str] = []
    page.on("console", lambda m: refusals.append(m.text) if m.type == "error" else None)
    with his_page(frame_of(launch_address(ward, live_server))) as stranger:
        allow(ward, "https://his.example")
        page.goto(stranger)
        page.wait_for_timeout(1500)

        assert any("frame-ancestors" in each for each in refusals)
        assert page.frames[1].url.startswith("chrome-error:")
    context.close()


def test_a_signed_form_opens_the_view_in_a_frame(
    live_server: Any, chromium: Any, ward: Ward
) -> None:
    fields = "".join(
        f'<input type="hidden" name="{name}" value="{value}">'
        for name, value in ward.form().items()
    )
    html = (
        '<iframe id="view" name="view" width="900" height="700"></iframe>'
        f'<form method="post" target="view" action="{live_server.url}/launch/signed/">{fields}'
        '<button id="go">go</button></form>'
    )
    context = chromium.new_context(locale="zh-CN")
    page = context.new_page()
    with his_page(html) as his:
        allow(ward, his)
        page.goto(his)
        page.click("#go")
        inside = page.frame_locator("#view")
        inside.locator("h1").wait_for(timeout=20_000)

        assert "张" in inside.locator("h1").inner_text()
        assert "P1" not in page.frames[1].url
    context.close()


def test_a_browser_that_keeps_no_cookie_in_frames_says_what_to_do(
    live_server: Any, chromium: Any, ward: Ward
) -> None:
    context = chromium.new_context(locale="zh-CN")
    page = context.new_page()
    with his_page(frame_of(f"{live_server.url}/launch/ready/home/")) as his:
        allow(ward, his)
        page.goto(his)
        inside = page.frame_locator("#view")
        inside.locator("h1").wait_for(timeout=20_000)

        assert inside.locator("nav.main").count() == 0
        assert inside.locator("form").count() == 0
    context.close()
