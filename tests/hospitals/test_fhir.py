"""Organization and Endpoint: the directory of institutions as FHIR has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from hospitals.models import Institution
from tests.support.fhir import included, link, matches, valid

CREDIT_CODE = "12100000400006846X"


@pytest.fixture
def directory(
    commission: Any,
    hospital: Institution,
    other_hospital: Institution,
    endpoint: Any,
    client: Client,
) -> Callable[[str], Any]:
    """Asks as the commission; H1 has an endpoint of its own with an address that is nobody's business."""
    Institution.objects.filter(code="H1").update(credit_code=CREDIT_CODE)
    client.force_login(commission)

    def get(path: str) -> Any:
        answer = client.get(f"/fhir/{path}" if not path.startswith("http") else path)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return get


def ids(bundle: Any) -> list[str]:
    return [each["id"] for each in matches(bundle)]


def test_an_organization_says_who_the_institution_is(directory: Any) -> None:
    found = valid(directory("Organization/H1"))

    assert found["name"] == "省第一人民医院"
    assert [each["value"] for each in found["identifier"]] == ["H1", CREDIT_CODE]
    assert found["active"] is True
    assert found["address"] == [{"text": "湖北省", "country": "CN"}]
    assert found["endpoint"] == [{"reference": "Endpoint/H1"}]


def test_an_endpoint_is_our_own_address_and_never_the_hospitals(directory: Any) -> None:
    found = valid(directory("Endpoint/H1"))

    assert found["address"] == "http://testserver/dicom-web/at/H1"
    assert found["connectionType"]["code"] == "dicom-wado-rs"
    assert found["managingOrganization"] == {"reference": "Organization/H1"}
    assert "127.0.0.1" not in str(found)


@pytest.mark.parametrize(
    ("state", "status", "active"),
    [
        ("onboarding", "test", True),
        ("active", "active", True),
        ("suspended", "active", True),  # policy I5: what it holds stays readable
        ("left", "off", False),
    ],
)
def test_states_are_said_in_the_words_of_fhir(
    directory: Any, state: str, status: str, active: bool
) -> None:
    reason = "why" if state in {"suspended", "left"} else ""
    Institution.objects.filter(code="H1").update(state=state, state_reason=reason)

    assert valid(directory("Endpoint/H1"))["status"] == status
    assert valid(directory("Organization/H1"))["active"] is active
    assert "H1" in ids(directory(f"Endpoint?status={status}"))
    assert "H1" in ids(directory(f"Organization?active={str(active).lower()}"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Organization", ["H1", "H2"]),
        ("Organization?_id=H2", ["H2"]),
        ("Organization?identifier=H1", ["H1"]),
        (f"Organization?identifier={CREDIT_CODE}", ["H1"]),
        ("Organization?identifier=urn:x-province:credit-code|", ["H1"]),
        ("Organization?identifier=urn:x-province:credit-code|H1", []),
        ("Organization?identifier=urn:x-province:institution-code|H1,H2", ["H1", "H2"]),
        ("Organization?identifier=|H1", []),
        ("Organization?name=省第一", ["H1"]),
        ("Organization?name=医院", []),
        ("Organization?name:contains=医院", ["H1", "H2"]),
        ("Organization?name:exact=县医院", ["H2"]),
        ("Organization?active=false", []),
        ("Organization?address=湖北", ["H1", "H2"]),
        ("Organization?endpoint=Endpoint/H2", ["H2"]),
        ("Endpoint?organization=Organization/H2", ["H2"]),
        ("Endpoint?identifier=H1", ["H1"]),
        ("Endpoint?name=县", ["H2"]),
        ("Endpoint?connection-type=dicom-wado-rs", ["H1", "H2"]),
        ("Endpoint?connection-type=hl7-fhir-rest", []),
        ("Endpoint?status=error", []),
    ],
)
def test_a_search_of_the_directory_finds_what_it_asks_for(
    directory: Any, query: str, found: list[str]
) -> None:
    assert ids(directory(query)) == found


def test_the_last_change_is_a_search_parameter_where_it_is_known(directory: Any) -> None:
    today = f"{timezone.localdate():%Y-%m-%d}"

    assert ids(directory(f"Organization?_lastUpdated=ge{today}")) == ["H1", "H2"]
    assert ids(directory(f"Organization?_lastUpdated=lt{today}")) == []


def test_organizations_and_endpoints_bring_each_other(directory: Any) -> None:
    bundle = directory("Organization?_include=Organization:endpoint&_id=H1")
    back = directory("Endpoint?_include=Endpoint:organization&_id=H1")

    assert [each["resourceType"] for each in included(bundle)] == ["Endpoint"]
    assert [each["resourceType"] for each in included(back)] == ["Organization"]


def test_pages_of_the_directory_follow_the_codes(directory: Any) -> None:
    bundle = directory("Organization?_count=1")

    following = directory(link(bundle, "next"))

    assert ids(bundle) + ids(following) == ["H1", "H2"]
    assert not link(following, "next")


def test_an_own_persons_directory_ends_at_the_consortium(
    hospital: Institution, other_hospital: Institution, make_user: Any, client: Client
) -> None:
    client.force_login(make_user("reader", "radiologist", hospital))

    assert ids(client.get("/fhir/Organization").json()) == ["H1"]
    assert client.get("/fhir/Organization/H2").status_code == 404


def test_the_statement_names_every_type_and_is_valid(directory: Any) -> None:
    statement = valid(directory("metadata"))

    assert statement["fhirVersion"] == "4.0.1"
    types = {each["type"] for each in statement["rest"][0]["resource"]}
    assert types == {
        "AuditEvent", "DiagnosticReport", "Endpoint", "ImagingStudy", "Organization", "Patient",
    }  # fmt: skip
