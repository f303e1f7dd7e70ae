"""AuditEvent: the trail by FHIR, for those who review it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from common import audit
from common.audit.models import AuditEntry
from sharing.models import LocalPatient, Person
from tests.support import archive
from tests.support.fhir import link, matches, valid

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(province: Any) -> Client:
    client = Client()
    client.force_login(archive.make_user("office", "commission", None))
    return client


@pytest.fixture
def trail(province: Any) -> dict[str, AuditEntry]:
    person = Person.objects.create(key="7QX2K9")
    patient = LocalPatient.objects.create(institution=province.near, number="X1", person=person)
    province.zhang.person, province.zhang.local_patient = person, patient
    province.zhang.save()
    reader = province.radiologist
    return {
        "view": audit.record(
            reader, "study.view", province.zhang, basis="own-institution", purpose="view", count=1
        ),
        "refused": audit.record(reader, "access.refused", object_type="route", result="refused"),
        "login": audit.record(reader, "login"),
        "sweep": audit.record("sweeper", "object.sweep", object_type="object", object_id="a/b"),
        "partner": audit.record(
            archive.make_user("colleague", "radiologist", province.partner), "study.search"
        ),
    }


def found(client: Client, trail: dict[str, AuditEntry], **query: str) -> set[str]:
    """Which of the entries of the trail a search finds."""
    answer = client.get("/fhir/AuditEvent", {"_count": "100", **query})
    assert answer.status_code == 200, answer.content
    ids = {each["id"] for each in matches(answer.json())}
    return {name for name, entry in trail.items() if str(entry.pk) in ids}


def test_every_entry_is_a_valid_resource(office: Client, trail: dict[str, AuditEntry]) -> None:
    assert found(office, trail) == set(trail)
    for entry in trail.values():
        valid(office.get(f"/fhir/AuditEvent/{entry.pk}").json())


def test_a_look_at_a_study_says_who_where_what_and_why(
    office: Client, trail: dict[str, AuditEntry], province: Any
) -> None:
    event = office.get(f"/fhir/AuditEvent/{trail['view'].pk}").json()

    assert event["type"]["code"] == "110103"
    assert event["subtype"][-1]["code"] == "study.view"
    assert (event["action"], event["outcome"]) == ("R", "0")
    assert event["agent"][0]["who"]["identifier"]["value"] == "radiologist"
    assert event["agent"][0]["policy"] == ["urn:x-province:basis:own-institution"]
    assert event["agent"][1]["who"]["reference"] == "Organization/near.1"
    assert [each["what"].get("reference") for each in event["entity"]] == ["Patient/7QX2K9", None]
    uid = event["entity"][1]["what"]["identifier"]["value"]
    assert uid == f"urn:oid:{province.zhang.study_instance_uid}"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"action": "R"}, {"view"}),
        ({"action": "E"}, {"refused", "login", "sweep", "partner"}),
        ({"type": "110114"}, {"login"}),
        ({"type": "http://dicom.nema.org/resources/ontology/DCM|110112"}, {"partner"}),
        ({"subtype": "urn:x-province:audit-action|study.view"}, {"view"}),
        ({"outcome": "8"}, {"refused"}),
        ({"outcome": "0", "agent:identifier": "radiologist"}, {"view", "login"}),
        ({"agent": "Organization/partner"}, {"partner"}),
        ({"agent-name": "coll"}, {"partner"}),
        ({"agent-name:exact": "coll"}, set()),
        ({"patient": "Patient/7QX2K9"}, {"view"}),
        ({"patient": "Patient/NOBODY"}, set()),
        ({"patient:identifier": "urn:x-province:person|7QX2K9"}, {"view"}),
        ({"entity": "Patient/7QX2K9"}, {"view"}),
        ({"date": "lt2020"}, set()),
        ({"address": "192.0.2.1"}, set()),
    ],
)
def test_a_search_finds_what_it_asks_for(
    office: Client, trail: dict[str, AuditEntry], query: dict[str, str], names: set[str]
) -> None:
    assert found(office, trail, **query) == names


def test_a_study_is_an_entity_by_its_resource_and_by_its_uid(
    office: Client, trail: dict[str, AuditEntry], province: Any
) -> None:
    uid = province.zhang.study_instance_uid

    assert found(office, trail, entity=f"ImagingStudy/{province.zhang.pk}") == {"view"}
    assert found(office, trail, **{"entity:identifier": f"urn:dicom:uid|urn:oid:{uid}"}) == {"view"}


def test_pages_go_on_and_a_total_is_counted(office: Client, trail: dict[str, AuditEntry]) -> None:
    first = office.get("/fhir/AuditEvent", {"_count": "2", "_total": "accurate"}).json()
    second = office.get(link(first, "next")).json()

    ids = [each["id"] for each in matches(first) + matches(second)]
    assert len(ids) == len(set(ids)) == 4
    assert first["total"] == 5
    assert office.get("/fhir/AuditEvent", {"_page": "nonsense"}).status_code == 400


def test_an_administrator_reads_the_own_institution_alone(
    trail: dict[str, AuditEntry], province: Any
) -> None:
    admin = Client()
    admin.force_login(archive.make_user("admin", "institution_admin", province.near))

    assert found(admin, trail) == {"view", "refused", "login"}
    assert admin.get(f"/fhir/AuditEvent/{trail['partner'].pk}").status_code == 404


@pytest.mark.parametrize("role", ["radiologist", "clinician", "auditor", "operator"])
def test_nobody_else_reads_the_trail(
    trail: dict[str, AuditEntry], province: Any, role: str
) -> None:
    place = province.near if role in {"radiologist", "clinician"} else None
    client = Client()
    client.force_login(archive.make_user(f"some-{role}", role, place))

    assert client.get("/fhir/AuditEvent").status_code == 403
    assert client.get(f"/fhir/AuditEvent/{trail['view'].pk}").status_code == 403


def test_reading_the_trail_is_in_the_trail(office: Client, trail: dict[str, AuditEntry]) -> None:
    from common.audit.models import RepeatedAccess

    office.get("/fhir/AuditEvent", {"agent-name": "zhang"})
    office.get(f"/fhir/AuditEvent/{trail['view'].pk}")

    noted = list(RepeatedAccess.objects.filter(values__action__startswith="audit."))
    assert sorted(each.values["action"] for each in noted) == ["audit.search", "audit.view"]
    assert "zhang" not in str([each.values for each in noted])
