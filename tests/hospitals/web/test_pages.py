"""A hospital's page and what may be done from it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.support.pages import make_province

pytestmark = pytest.mark.django_db


@pytest.fixture
def province():
    return make_province()


def test_the_commission_suspends_with_a_reason_and_activates_again(province):
    client = province.client("commission")
    page = reverse("hospitals:hospital", args=["EAST"])

    client.post(reverse("hospitals:suspend", args=["EAST"]), {"reason": "move of the server room"})
    province.east.refresh_from_db()
    assert province.east.state == "suspended"
    assert "move of the server room" in client.get(page).content.decode()

    client.post(reverse("hospitals:activate", args=["EAST"]))
    province.east.refresh_from_db()
    assert province.east.state == "active"


def test_nothing_is_suspended_without_a_reason(province):
    client = province.client("commission")

    client.post(reverse("hospitals:suspend", args=["EAST"]), {"reason": " "})

    province.east.refresh_from_db()
    assert province.east.state == "active"


@pytest.mark.parametrize("role", ["radiologist", "auditor", "institution_admin", "operator"])
def test_others_may_not_suspend(province, role):
    response = province.client(role).post(
        reverse("hospitals:suspend", args=["EAST"]), {"reason": "because"}
    )

    province.east.refresh_from_db()
    assert response.status_code == 403
    assert province.east.state == "active"


def test_a_hospital_that_may_not_be_seen_looks_absent(province):
    client = province.client("radiologist")

    for code in ("WEST", "NOBODY"):
        assert client.get(reverse("hospitals:hospital", args=[code])).status_code == 404


def test_the_address_of_an_archive_is_for_those_who_keep_the_line(province):
    page = reverse("hospitals:hospital", args=["EAST"])

    assert "pacs.example" in province.client("operator").get(page).content.decode()
    assert "pacs.example" not in province.client("radiologist").get(page).content.decode()


def test_the_list_asks_the_same_number_of_queries_for_one_as_for_many(
    province, django_assert_max_num_queries
):
    client = province.client("operator")

    with django_assert_max_num_queries(9):
        response = client.get(reverse("hospitals:list"), {"q": "东部"})

    html = response.content.decode()
    assert "东部人民医院" in html
    assert "西部医院" not in html


def test_quarantine_and_throughput_stand_on_the_hospitals_page(province):
    html = (
        province.client("operator")
        .get(reverse("hospitals:hospital", args=["EAST"]))
        .content.decode()
    )

    assert "Ends 4,096 bytes early." in html
    assert 'id="throughput"' in html
    assert "The figures as a table" in html


@pytest.mark.parametrize(
    ("in_clear", "role", "said"),
    [(True, "operator", True), (False, "operator", False), (True, "radiologist", False)],
)
def test_credentials_over_plain_http_are_a_sentence_for_those_who_keep_the_line(
    province, in_clear, role, said
):
    province.east.endpoint.probes.create(
        reachable=True, abilities={"credentials_in_clear": in_clear}
    )

    html = province.client(role).get(reverse("hospitals:hospital", args=["EAST"])).content.decode()

    assert ("over plain http" in html) is said
