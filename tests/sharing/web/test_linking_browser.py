"""Pairs that may be one person, compared and decided in a real browser, by keyboard, in Chinese, on a phone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from sharing.models import LinkCandidate
from sharing.services import candidates
from tests.support.pages import make_province
from tests.support.patients import registered

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[390, 1440])
def page(request: Any, live_server: Any, chromium: Any) -> Iterator[Any]:
    province = make_province()
    for number, (one, other) in enumerate((("Zhang^San=张^三", "=张^三"), ("=李^四", "Li^Si"))):
        facts: dict[str, Any] = {
            "birth_date": date(1980, 5, 6 + number),
            "phone": f"1380000567{number}",
        }
        registered(province.east, f"E-{number}", name=one, **facts)
        registered(province.west, f"W-{number}", name=other, **facts)
    candidates.compare_due()
    session = province.client("institution_admin").cookies[settings.SESSION_COOKIE_NAME].value
    context = chromium.new_context(viewport={"width": request.param, "height": 900}, locale="zh-CN")
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    found = context.new_page()
    found.complaints = []
    found.on("console", lambda m: found.complaints.append(m.text) if m.type == "error" else None)
    found.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.width = request.param
    yield found
    context.close()


def shoot(page: Any, name: str) -> None:
    """A picture for who looks at it, where a folder is named."""
    folder = os.environ.get("SCREENSHOTS", "")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}-{page.width}.png"), full_page=True)


def test_a_pair_is_decided_by_keyboard_and_the_next_one_follows(live_server, page):
    page.goto(f"{live_server.url}/link-review/")
    assert page.locator("h1").inner_text() == "疑似同一人"
    assert page.evaluate("document.documentElement.scrollWidth") <= page.width
    shoot(page, "queue")

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/link-review/*/")
    assert page.evaluate("document.activeElement.id") == "reason"
    assert page.evaluate("document.documentElement.scrollWidth") <= page.width
    assert "张三" not in page.content()
    shoot(page, "pair")
    page.keyboard.type("核对过身份证原件")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.wait_for_selector("text=已合并为同一人")
    assert LinkCandidate.objects.filter(state="linked").count() == 1
    page.keyboard.type("双胞胎")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/link-review/")
    assert LinkCandidate.objects.filter(state="rejected").count() == 1
    shoot(page, "empty")
    page.goto(f"{live_server.url}/link-review/history/")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.width
    page.locator("details.unmask summary").first.click()
    shoot(page, "history")
    assert page.complaints == []
