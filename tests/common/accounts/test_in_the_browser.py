"""Accounts in a real browser, on a phone and on a screen: enrolment, recovery, invitation, the way over a provider."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from common.accounts import demands, oidc
from common.accounts.models import OutsideIdentity, User
from hospitals.models import Institution, Membership, Region
from hospitals.permissions import today
from tests.common.accounts.test_second_factor import PASSWORD, code_of
from tests.support.openid import OpenProvider

pytestmark = [
    pytest.mark.browser,
    pytest.mark.one_factor,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    clear = oidc._client.cache_clear
    clear()
    demands.forget()
    yield
    clear()


@pytest.fixture
def keeper() -> User:
    region = Region.objects.create(code="990000", name="示范省")
    place = Institution.objects.create(
        code="EAST", name="东部人民医院", region=region, state="active"
    )
    user = User.objects.create_user("keeper", password=PASSWORD, first_name="李主任")
    Membership.objects.create(
        user=user, role="institution_admin", institution=place, valid_from=today()
    )
    return user


def new_page(chromium: Any, *, width: int, locale: str = "zh-CN") -> tuple[Any, list[str]]:
    context = chromium.new_context(viewport={"width": width, "height": 844}, locale=locale)
    page = context.new_page()
    complaints: list[str] = []

    def note(message: Any) -> None:
        # The provider of the tests has no icon; what its pages say is not ours.
        if message.type in {"error", "warning"} and "favicon" not in message.location["url"]:
            complaints.append(f"{message.text} {message.location['url']}")

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def shown_width(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


@pytest.mark.parametrize(("width", "locale"), [(390, "zh-CN"), (1440, "en")])
def test_an_administrator_sets_up_the_second_factor_and_comes_back_with_it(
    live_server: Any, chromium: Any, keeper: User, width: int, locale: str
) -> None:
    page, complaints = new_page(chromium, width=width, locale=locale)
    page.goto(f"{live_server.url}/people/")
    assert shown_width(page) <= width
    page.fill("#id_username", "keeper")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url("**/accounts/second-factor/")
    assert shown_width(page) <= width
    box = page.locator("svg.qr").bounding_box()
    assert 150 < box["width"] < width
    assert re.fullmatch(r"([A-Z2-7]{4} ?){8}", page.inner_text("#key"))
    page.fill("#code", code_of(keeper, steps=-1))
    page.press("#code", "Enter")

    codes = page.locator(".recovery code").all_inner_texts()
    assert len(codes) == 10
    assert shown_width(page) <= width
    page.click("a.primary")
    page.wait_for_url("**/accounts/")
    assert shown_width(page) <= width

    page.locator("header form[action$='/logout/'] button").click()
    page.wait_for_url("**/accounts/login/**")
    page.goto(f"{live_server.url}/people/")
    page.fill("#id_username", "keeper")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url("**/accounts/code/")
    assert shown_width(page) <= width
    page.locator("details summary").click()
    page.fill("#recovery", codes[0])
    page.press("#recovery", "Enter")
    page.wait_for_url("**/people/")
    assert shown_width(page) <= width
    assert complaints == []


def test_somebody_is_invited_and_comes_in(live_server: Any, chromium: Any, keeper: User) -> None:
    keeper_page, complaints = new_page(chromium, width=1440)
    keeper_page.goto(f"{live_server.url}/accounts/login/?next=/people/invite")
    keeper_page.fill("#id_username", "keeper")
    keeper_page.fill("#id_password", PASSWORD)
    keeper_page.press("#id_password", "Enter")
    keeper_page.wait_for_url("**/second-factor/")
    keeper_page.fill("#code", code_of(keeper))
    keeper_page.press("#code", "Enter")
    keeper_page.goto(f"{live_server.url}/people/invite")
    keeper_page.fill("#id_name", "王医师")
    keeper_page.select_option("#id_role", "radiologist")
    keeper_page.press("#id_name", "Enter")
    link = keeper_page.input_value("#link")

    page, more = new_page(chromium, width=390)
    page.goto(link)
    assert shown_width(page) <= 390
    assert "王医师" in page.inner_text("h1")
    page.fill("#username", "wang")
    page.fill("#password", PASSWORD)
    page.fill("#password_again", PASSWORD)
    page.press("#password_again", "Enter")
    page.wait_for_url(f"{live_server.url}/")
    page.goto(f"{live_server.url}/accounts/")
    assert "东部人民医院" in page.inner_text("main")

    keeper_page.goto(f"{live_server.url}/people/")
    keeper_page.fill("#f-q", "wang")
    expect(keeper_page.locator("#rows tbody tr")).to_have_count(1)
    assert "wang" in keeper_page.inner_text("#rows tbody")
    assert complaints + more == []


def test_a_person_comes_in_over_the_provider(
    live_server: Any, chromium: Any, open_provider: OpenProvider
) -> None:
    user = User.objects.create_user("reader", first_name="张医师")
    provider = open_provider(redirect=f"{live_server.url}/accounts/oidc/back")
    OutsideIdentity.objects.create(user=user, issuer=provider.issuer, subject="s-1")
    page, complaints = new_page(chromium, width=390)
    page.goto(f"{live_server.url}/accounts/login/?next=/accounts/")
    assert shown_width(page) <= 390

    page.get_by_role("link", name="省统一认证").click()
    page.fill("[name=login]", "s-1")
    page.click("button")

    page.wait_for_url(f"{live_server.url}/accounts/")
    assert "张医师" in page.inner_text("header")
    assert complaints == []
