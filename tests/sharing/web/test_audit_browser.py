"""The data office at its screen: both languages, wide and on a phone, with axe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common import audit
from common.audit import sequencer
from sharing.models import AccessFinding, LocalPatient, Person
from sharing.services import unusual
from tests.support.browsing import PHONE, WIDE, reading
from tests.support.pages import Province, make_province

pytestmark = pytest.mark.django_db(transaction=True)
RESIDENT = "990101200001010014"


@pytest.fixture
def province() -> Province:
    province = make_province()
    person = Person.objects.create(key="7QX2K9")
    patient = LocalPatient.objects.create(
        institution=province.east,
        number="PID-1",
        person=person,
        name="Zhang^San=张^三",
        is_staff=True,
    )
    province.study.person, province.study.local_patient = person, patient
    province.study.save()
    client = province.client("radiologist")
    audit.record(client.session["_auth_user_id"] and _user(client), "study.view", province.study,
                 basis="own-institution")  # fmt: skip
    sequencer.chain_all()
    unusual.find_unusual()
    return province


def _user(client: Any) -> Any:
    from common.accounts.models import User

    return User.objects.get(pk=client.session["_auth_user_id"])


@pytest.mark.parametrize(
    ("language", "width"), [("zh-CN", WIDE), ("zh-CN", PHONE), ("en", WIDE), ("en", PHONE)]
)
def test_the_pages_of_the_data_office_are_usable_by_everybody(
    province: Province, chromium: Any, live_server: Any, axe: Path | None, language: str, width: int
) -> None:
    finding = AccessFinding.objects.get()
    paths = {
        "trail": "/audit/",
        "patients": "/audit/patients/",
        "patient": "/audit/patients/7QX2K9/",
        "sheet": "/audit/patients/7QX2K9/print/",
        "unusual": "/audit/unusual/",
        "finding": f"/audit/unusual/{finding.pk}/",
    }
    office = province.client("commission")
    with reading(
        chromium, office, live_server.url, language=language, width=width, axe=axe
    ) as reader:
        for name, path in paths.items():
            reader.open(path)
            reader.shoot(f"audit-{name}-{language}-{width}")
            assert reader.judge() == [], path
        assert reader.complaints == []


def test_a_finding_is_opened_and_decided_by_keyboard_and_pointer(
    province: Province, chromium: Any, live_server: Any
) -> None:
    office = province.client("commission")
    with reading(chromium, office, live_server.url) as reader:
        page = reader.page
        reader.open("/")
        page.get_by_role("link", name="本院职工的病历").click()
        page.locator("#results tbody a").first.click()
        page.get_by_label("正当", exact=True).check()
        page.locator("#r-note").fill("门诊会诊，已核实")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_load_state("networkidle")

        assert page.get_by_role("status").first.is_visible()
        assert AccessFinding.objects.get().state == "justified"
