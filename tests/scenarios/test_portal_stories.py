"""What people come for, told in a browser: in both languages, on a screen and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
from django.core.cache import cache

from sharing.models import EmergencyAccess, SavedSearch
from tests.support.access import open_encounter
from tests.support.browsing import PHONE, WIDE, Reader, reading
from tests.support.portal import RESIDENT_ID, Portal, make_portal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCREENS = [
    pytest.param(language, width, id=f"{language[:2]}-{width}")
    for language in ("zh-CN", "en")
    for width in (WIDE, PHONE)
]
Opened = AbstractContextManager[Reader]


@pytest.fixture
def portal(settings: Any, tmp_path: Any) -> Iterator[Portal]:
    settings.DATA_DIR = tmp_path
    (tmp_path / "viewer").mkdir()
    (tmp_path / "viewer" / "index.html").write_text("<!doctype html><title>OHIF</title>")
    cache.clear()
    yield make_portal()
    cache.clear()


def said(language: str, chinese: str, english: str) -> str:
    return chinese if language == "zh-CN" else english


def browser(
    chromium: Any, live_server: Any, portal: Portal, role: str, language: str, width: int
) -> Opened:
    spoken = "zh-hans" if language == "zh-CN" else "en"
    return reading(
        chromium, portal.province.client(role, language=spoken), live_server.url,
        language=language, width=width,
    )  # fmt: skip


def choose(reader: Reader, text: str) -> None:
    """Search from the start page with the one field."""
    reader.page.fill("#f-quick", text)
    reader.page.press("#f-quick", "Enter")
    reader.page.wait_for_selector("#results")


@pytest.mark.parametrize(("language", "width"), SCREENS)
def test_a_radiologist_finds_the_patient_by_resident_id_and_compares_two_examinations(
    chromium, live_server, portal, language, width
) -> None:
    open_encounter(portal.province.east, portal.person)
    say = partial(said, language)
    with browser(chromium, live_server, portal, "radiologist", language, width) as reader:
        page = reader.page
        reader.open("/")
        reader.shoot(f"radiologist-home-{width}")
        choose(reader, RESIDENT_ID)
        reader.shoot(f"radiologist-found-{width}")

        assert RESIDENT_ID not in page.url
        page.locator(".persons a[data-main]").click()
        page.wait_for_selector("#timeline")
        reader.shoot(f"radiologist-patient-{width}")
        assert page.locator("h1").inner_text().startswith("张三")
        assert page.locator(".exam").count() == 2
        assert say("报告：正式报告", "Report: Final") in page.locator("#timeline").inner_text()

        page.keyboard.press("j")
        page.keyboard.press("x")
        page.keyboard.press("j")
        page.keyboard.press("x")
        with page.context.expect_page() as opened:
            page.keyboard.press("c")
        opened.value.wait_for_url("**/viewer/viewer?**")
        assert portal.own.study_instance_uid in opened.value.url
        assert portal.other.study_instance_uid in opened.value.url

        page.locator(".chips a", has_text="MR").first.click()
        page.wait_for_selector(".chips a[aria-current]:has-text('MR')")
        assert page.locator(".exam").count() == 1
        reader.open("/")
        assert page.locator(".recent a[data-main]").first.inner_text().startswith("张三")
        assert reader.complaints == []


@pytest.mark.parametrize(("language", "width"), SCREENS)
def test_a_clinician_meets_a_stranger_and_opens_the_examinations_in_an_emergency(
    chromium, live_server, portal, language, width
) -> None:
    with browser(chromium, live_server, portal, "clinician", language, width) as reader:
        page = reader.page
        reader.open("/studies/")
        page.select_option("#f-kind", "insurance-code")
        page.fill("#f-quick", "YB-778899")
        page.press("#f-quick", "Enter")
        page.wait_for_selector(".persons")
        assert "钱多" not in page.locator("#results").inner_text()
        page.locator(".persons .actions a").click()
        page.wait_for_selector("#hidden-title")
        reader.shoot(f"clinician-hidden-{width}")
        assert "钱多" not in page.locator("main").inner_text()
        assert portal.far.study_instance_uid not in page.content()

        page.locator("a.danger").click()
        page.wait_for_selector("textarea[name=reason]")
        reader.shoot(f"clinician-emergency-{width}")
        page.fill("textarea[name=reason]", "昏迷送入急诊，无法询问，急需既往影像")
        page.locator("button.danger").click()
        page.wait_for_selector(".exam, h2#open-title")
        if page.locator("h2#open-title").count():
            page.locator("a.primary").first.click()
        page.wait_for_selector(".exam")
        reader.shoot(f"clinician-opened-{width}")

        assert page.locator("h1").inner_text().startswith("钱多")
        assert EmergencyAccess.objects.get().reason.startswith("昏迷")
        assert reader.complaints == []


@pytest.mark.parametrize(("language", "width"), SCREENS)
def test_a_search_is_saved_and_run_again_from_the_keyboard(
    chromium, live_server, portal, language, width
) -> None:
    with browser(chromium, live_server, portal, "radiologist", language, width) as reader:
        page = reader.page
        reader.open("/studies/")
        page.select_option("#f-mod", "CT")
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.locator("#search button.primary").click()
        page.locator("#results details summary").last.click()
        page.fill("#f-save", "本院CT")
        page.press("#f-save", "Enter")
        page.wait_for_selector("[data-saved]")
        reader.shoot(f"saved-{width}")
        reader.open("/")
        page.keyboard.press("g")
        page.keyboard.press("1")
        page.wait_for_url("**/studies/?saved=*")

        assert page.locator("#f-mod").input_value() == "CT"
        assert SavedSearch.objects.get().filters == {"modality": "CT"}
        assert reader.complaints == []


@pytest.mark.parametrize(("language", "width"), SCREENS)
def test_an_institutions_administrator_begins_with_the_own_hospital(
    chromium, live_server, portal, language, width
) -> None:
    with browser(chromium, live_server, portal, "institution_admin", language, width) as reader:
        page = reader.page
        reader.open("/")
        reader.shoot(f"institution-home-{width}")
        page.locator(".errand a").first.click()
        page.wait_for_url("**/hospitals/EAST/")
        reader.shoot(f"institution-hospital-{width}")
        assert "东部人民医院" in page.locator("h1").inner_text()
        reader.open("/operations/")
        reader.shoot(f"institution-faults-{width}")
        assert page.locator("form[action$='/retry']").count() == 1
        assert reader.complaints == []


@pytest.mark.parametrize(("language", "width"), SCREENS)
def test_the_data_office_sees_who_looked_at_a_patient(
    chromium, live_server, portal, language, width
) -> None:
    portal.province.client("radiologist").post(
        f"/patients/numbers/{portal.own.local_patient_id}/unmask",
        {"field": "resident_id", "reason": "核对身份"},
    )
    with browser(chromium, live_server, portal, "commission", language, width) as reader:
        page = reader.page
        reader.open("/")
        reader.shoot(f"commission-home-{width}")
        page.locator("nav.main a[href='/audit/']").click()
        page.wait_for_url("**/audit/")
        reader.shoot(f"commission-audit-{width}")
        reader.open(f"/audit/patients/{portal.person.key}/")
        reader.shoot(f"commission-looked-{width}")

        assert "radiologist" in page.locator("main").inner_text()
        assert "张三" not in page.locator("main").inner_text()
        assert reader.complaints == []
