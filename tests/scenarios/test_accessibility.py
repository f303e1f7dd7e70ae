"""Every page that the navigation leads to is judged by axe: for each role, wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from tests.support.access import open_encounter
from tests.support.browsing import PHONE, WIDE, Reader, reading
from tests.support.portal import Portal, make_portal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ROLES = [
    "radiologist", "clinician", "institution_admin", "commission", "auditor", "operator", "integrator",
]  # fmt: skip
_LINKS = "[...document.querySelectorAll('nav a[href^=\"/\"], .errand a, .who a')].map((a) => a.getAttribute('href'))"


@pytest.fixture
def portal(settings: Any, tmp_path: Any) -> Iterator[Portal]:
    settings.DATA_DIR = tmp_path
    cache.clear()
    yield make_portal()
    cache.clear()


def also(portal: Portal, role: str) -> list[str]:
    """Pages of one thing, to which no navigation leads."""
    study = f"/studies/EAST/{portal.own.study_instance_uid}/"
    person = portal.person.key
    return {
        "radiologist": [
            study, f"{study}report/", f"{study}view/{portal.own.study_instance_uid}.1/", f"/patients/{person}/",
            f"/emergency/{person}/", f"/consultations/new/?study=EAST/{portal.own.study_instance_uid}",
        ],
        "commission": [f"/audit/patients/{person}/", study],
    }.get(role, [])  # fmt: skip


def walk(reader: Reader, begin: list[str], most: int = 40) -> dict[str, list[str]]:
    """Everything that the page says is next, from the start page on; faults by address."""
    waiting, seen = ["/", *begin], set()
    faults: dict[str, list[str]] = {}
    while waiting and len(seen) < most:
        address = waiting.pop(0)
        place = address.partition("?")[0].partition("#")[0]
        if place in seen or place.startswith(("/viewer/", "/admin/", "/api/")):
            continue
        seen.add(place)
        reader.open(address)
        if found := reader.judge():
            faults[address] = found
        waiting += reader.page.evaluate(_LINKS)
    assert len(seen) > 1
    return faults


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("role", ROLES)
def test_no_page_of_a_role_breaks_a_rule(chromium, live_server, axe, portal, role, width) -> None:
    open_encounter(portal.province.east, portal.person)
    client = portal.province.client(role, language="zh-hans")

    with reading(chromium, client, live_server.url, width=width, axe=axe) as reader:
        faults = walk(reader, also(portal, role))

    assert faults == {}
    assert reader.complaints == []


def test_a_page_that_breaks_a_rule_would_be_found(chromium, live_server, axe, portal) -> None:
    client = portal.province.client("radiologist")

    with reading(chromium, client, live_server.url, axe=axe) as reader:
        reader.open("/")
        reader.page.evaluate(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/x\">')"
        )
        found = reader.judge()

    assert any("image-alt" in each for each in found)
