"""REST of members under ``/api/v1/``."""

from __future__ import annotations

import pytest
from django.test import Client

from hospitals import services
from hospitals.services import EndpointSettings

URL = "http://127.0.0.1:9/dicom-web"


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def member(make_user, hospital):
    return client_of(make_user("m", "clinician", hospital))


@pytest.fixture
def head(commission):
    return client_of(commission)


@pytest.mark.parametrize(
    "path", ["regions", "consortia", "institutions", "institutions/H1", "institutions/H1/endpoint"]
)
def test_a_stranger_gets_nothing(hospital, path):
    assert Client().get(f"/api/v1/{path}").status_code == 401


def test_a_member_sees_its_own_institution_and_the_other_looks_absent(member, other_hospital):
    listed = member.get("/api/v1/institutions").json()

    assert [row["code"] for row in listed["results"]] == ["H1"]
    assert member.get("/api/v1/institutions/H2").status_code == 404


def test_the_list_can_be_searched_filtered_and_sorted(head, hospital, other_hospital):
    def codes(query: str) -> list[str]:
        return [row["code"] for row in head.get(f"/api/v1/institutions?{query}").json()["results"]]

    assert codes("search=县") == ["H2"]
    assert codes("region=420000&sort=-code") == ["H2", "H1"]
    assert codes("state=active") == []


def test_the_commission_adds_and_changes_an_institution(head, region):
    added = head.post(
        "/api/v1/institutions",
        {"code": "H7", "name": "新医院", "region": "420000"},
        content_type="application/json",
    )
    changed = head.patch(
        "/api/v1/institutions/H7",
        {"level": "tertiary", "code": "H8"},
        content_type="application/json",
    )

    assert added.status_code == 201
    assert (changed.json()["code"], changed.json()["level"]) == ("H7", "tertiary")


def test_a_code_in_use_is_a_conflict(head, hospital):
    answer = head.post(
        "/api/v1/institutions",
        {"code": "H1", "name": "x", "region": "420000"},
        content_type="application/json",
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "code-taken")


def test_a_member_may_read_and_not_write(member, hospital):
    refused = [
        member.post(
            "/api/v1/institutions",
            {"code": "H7", "name": "x", "region": "420000"},
            content_type="application/json",
        ),
        member.patch("/api/v1/institutions/H1", {"name": "x"}, content_type="application/json"),
        member.post("/api/v1/institutions/H1/activate"),
        member.post("/api/v1/institutions/H1/probes"),
        member.post(
            "/api/v1/regions", {"code": "430000", "name": "x"}, content_type="application/json"
        ),
        member.post(
            "/api/v1/consortia",
            {"code": "C1", "name": "x", "region": "420000"},
            content_type="application/json",
        ),
        member.put(
            "/api/v1/institutions/H1/endpoint", {"base_url": URL}, content_type="application/json"
        ),
    ]

    assert [answer.status_code for answer in refused] == [403] * len(refused)


def test_a_secret_goes_in_and_never_comes_out(make_user, hospital):
    integrator = client_of(make_user("pacs", "integrator", hospital))
    stored = integrator.put(
        "/api/v1/institutions/H1/endpoint",
        {"base_url": URL, "auth": "bearer", "secret": {"token": "s3cret-token"}},
        content_type="application/json",
    )
    read = integrator.get("/api/v1/institutions/H1/endpoint")

    assert stored.status_code == 200
    assert read.json()["has_secret"] is True
    assert "s3cret-token" not in stored.content.decode() + read.content.decode()


def test_an_address_that_is_not_allowed_is_a_problem_with_its_code(head, hospital):
    answer = head.put(
        "/api/v1/institutions/H1/endpoint",
        {"base_url": "http://169.254.169.254/"},
        content_type="application/json",
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "address-not-allowed")


def test_a_failed_probe_is_a_result_and_is_listed(head, hospital, endpoint):
    probed = head.post("/api/v1/institutions/H1/probes")
    listed = head.get("/api/v1/institutions/H1/probes")

    assert (probed.status_code, probed.json()["reachable"]) == (201, False)
    assert len(listed.json()) == 1


def test_suspending_needs_a_reason(head, hospital, endpoint):
    without = head.post("/api/v1/institutions/H1/suspend", {}, content_type="application/json")
    with_one = head.post(
        "/api/v1/institutions/H1/suspend", {"reason": "move"}, content_type="application/json"
    )

    assert without.status_code == 400
    assert with_one.json()["state"] == "suspended"


def test_the_commission_adds_regions_and_consortia(head, db):
    region = head.post(
        "/api/v1/regions", {"code": "430000", "name": "湖南省"}, content_type="application/json"
    )
    consortium = head.post(
        "/api/v1/consortia",
        {"code": "C1", "name": "x", "region": "430000"},
        content_type="application/json",
    )

    assert (region.status_code, consortium.status_code) == (201, 201)
    assert head.get("/api/v1/consortia").json()["results"][0]["region"] == "430000"


def test_the_list_takes_the_same_number_of_queries_for_many(
    head, region, django_assert_max_num_queries
):
    for number in range(20):
        row = services.add_institution(actor="t", code=f"N{number}", name="x", region=region)
        services.set_endpoint(actor="t", institution=row, endpoint=EndpointSettings(base_url=URL))

    with django_assert_max_num_queries(6):
        assert head.get("/api/v1/institutions").json()["count"] == 20
