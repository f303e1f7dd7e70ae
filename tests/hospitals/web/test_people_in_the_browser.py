"""Pages of accounts and people on a phone and on a screen, in both languages, light and dark: judged by axe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.accounts import factors, throttle
from common.accounts.models import User
from hospitals import services
from hospitals.services import Guest
from tests.common.accounts.test_second_factor import set_up
from tests.support.browsing import PHONE, WIDE, reading
from tests.support.pages import make_province

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def fill() -> Any:
    """Two administrators, people locked and with second factors, an invitation, a system with tokens."""
    province = make_province()
    client = province.client("institution_admin")
    keeper = User.objects.get(username="institution_admin-")
    User.objects.filter(pk=keeper.pk).update(first_name="李主任")
    for role in ("radiologist", "clinician"):
        province.client(role)
    reader = User.objects.get(username="radiologist-")
    User.objects.filter(pk=reader.pk).update(first_name="王医师")
    set_up(reader)
    for _ in range(throttle.FAILURES):
        throttle.count_failure(username="radiologist-", address="")
    services.invite(actor=keeper, guest=Guest("赵医师", "clinician", province.east))
    system = services.add_system(
        actor=keeper, institution=province.east, username="pacs-east", name="PACS 接口"
    )
    token, _text = services.issue_token(
        actor=keeper, system=system, days=90, scope="full", label="夜间推送"
    )
    services.rotate_token(actor=keeper, token=token)
    return client, keeper, reader


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_every_page_of_an_administrator_of_people_is_clean(
    live_server: Any, chromium: Any, axe: Path, width: int, language: str
) -> None:
    client, _keeper, reader = fill()
    row = reader.memberships.get().pk
    pages = {
        "people": "/people/",
        "person": f"/people/{row}/",
        "person-end": f"/people/{row}/end",
        "person-reset": f"/people/{row}/reset",
        "invite": "/people/invite",
        "systems": "/people/systems/",
        "system": "/people/systems/pacs-east/",
        "account": "/accounts/",
        "enrol": "/accounts/second-factor/",
        "password": "/accounts/password/",
    }
    with reading(
        chromium, client, live_server.url, language=language, width=width, axe=axe
    ) as keeper:
        found = {}
        for name, path in pages.items():
            keeper.open(path)
            found[name] = keeper.judge()
            keeper.shoot(f"{name}-{width}-{language}")

        keeper.open("/people/invite")
        keeper.page.fill("#id_name", "孙医师")
        keeper.page.press("#id_name", "Enter")
        link = keeper.page.input_value("#link")
        found["invited"] = keeper.judge()
        keeper.shoot(f"invited-{width}-{language}")
        keeper.page.context.clear_cookies()
        for name, path in (
            ("join", link.removeprefix(live_server.url)),
            ("login", "/accounts/login/"),
        ):
            keeper.open(path)
            found[name] = keeper.judge()
            keeper.shoot(f"{name}-{width}-{language}")
        keeper.page.fill("#id_username", "nobody")
        keeper.page.fill("#id_password", "x")
        keeper.page.press("#id_password", "Enter")
        keeper.page.wait_for_selector("[role=alert]")
        found["login-refused"] = keeper.judge()

    assert {name: faults for name, faults in found.items() if faults} == {}
    assert keeper.complaints == []


def test_the_page_for_the_code_and_for_recovery_codes_is_clean(
    live_server: Any, chromium: Any, axe: Path
) -> None:
    client, _keeper, reader = fill()
    throttle.forgive(username=reader.username)
    reader.set_password("a-long-pass-phrase")
    reader.save()
    recovery = factors.renew_recovery_codes(reader)
    with reading(chromium, client, live_server.url, width=PHONE, axe=axe) as person:
        person.page.context.clear_cookies()
        person.open("/accounts/login/?next=/accounts/")
        person.page.fill("#id_username", reader.username)
        person.page.fill("#id_password", "a-long-pass-phrase")
        person.page.press("#id_password", "Enter")
        person.page.wait_for_url("**/accounts/code/")
        found = person.judge()
        person.shoot("code-phone")
        person.page.fill("#code", "000000")
        person.page.press("#code", "Enter")
        person.page.wait_for_selector("[role=alert]")
        found += person.judge()
        person.page.locator("details summary").click()
        person.page.fill("#recovery", recovery[0])
        person.page.press("#recovery", "Enter")
        person.page.wait_for_url("**/accounts/")
        found += person.judge()
        person.page.locator("details summary").first.click()
        person.page.fill("#renew-code", recovery[1])
        person.page.press("#renew-code", "Enter")
        person.page.wait_for_selector(".recovery")
        found += person.judge()
        person.shoot("recovery-phone")

    assert found == []
    assert person.complaints == []
