"""The desk and emergency access as people use them: pages, what they do, and to whom they are closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from hospitals.models import Institution
from sharing.models import Consent, EmergencyAccess, Encounter, LocalPatient, Study
from sharing.permissions import forget_sights
from sharing.selectors import codes
from tests.support import access
from tests.support.pages import Province, inline_parts, make_province

REASON = "昏迷送入抢救室，需要既往影像"
RESIDENT_ID = "990101200001010014"  # policy P1


@dataclass
class World:
    province: Province
    there: LocalPatient  # at WEST
    study: Study

    def client(self, role: str, institution: Institution | None = None) -> Client:
        return self.province.client(role, institution=institution)


@pytest.fixture
def world(db: None) -> World:
    codes.forget()
    province = make_province()
    patient = access.make_patient(province.west, "W1")
    patient.resident_id_hash = _hash(RESIDENT_ID)
    patient.name = "Sun^Qi=孙^七"
    patient.save()
    study = access.make_study(patient, "1.2.3", patient_name=patient.name, study_date="2026-01-05")
    return World(province, patient, study)


def _hash(number: str) -> bytes:
    from sharing.selectors.identities import identity_hash

    return identity_hash("resident_id", number)


def _open(client: Client, **changes: str) -> Any:
    given = {
        "number": "E1", "name": "孙七", "sex": "M", "resident_id": RESIDENT_ID,
        "visit_number": "V1", "kind": "outpatient",
    }  # fmt: skip
    return client.post("/desk/encounters", given | changes)


@pytest.mark.parametrize("role", ["clinician", "radiologist", "institution_admin"])
def test_the_desk_is_a_page_without_inline_parts(world: World, role: str) -> None:
    answer = world.client(role).get("/desk/")

    assert answer.status_code == 200
    assert not inline_parts(answer.content.decode())


@pytest.mark.parametrize("role", ["commission", "auditor", "operator", "integrator", ""])
def test_the_desk_is_closed_to_who_sits_at_none(world: World, role: str) -> None:
    client = world.client(role)

    assert client.get("/desk/").status_code == 403
    assert _open(client).status_code == 403
    assert client.post("/desk/consents", {"number": "W1"}).status_code == 403


def test_an_encounter_at_the_desk_opens_what_was_made_elsewhere_until_it_is_closed(
    world: World,
) -> None:
    client = world.client("clinician")
    address = f"/studies/WEST/{world.study.study_instance_uid}/"
    assert client.get(address).status_code == 404

    answer = _open(client)

    assert (answer.status_code, answer["Location"]) == (302, "/desk/?at=EAST")
    assert client.get(address).status_code == 200
    assert RESIDENT_ID not in client.get("/desk/").content.decode()
    encounter = Encounter.objects.get()
    assert encounter.source == "desk"
    client.post(f"/desk/encounters/{encounter.pk}/close")
    assert client.get(address).status_code == 404


def test_what_is_wrong_stands_at_the_form_and_what_was_typed_stays(world: World) -> None:
    client = world.client("clinician")

    missing = _open(client, visit_number="")
    wrong = _open(client, resident_id="990101200001010015")

    assert (missing.status_code, wrong.status_code) == (422, 422)
    assert 'value="E1"' in missing.content.decode()
    assert "This field is required" in missing.content.decode()
    assert not Encounter.objects.exists()


def test_another_institutions_desk_and_lists_are_hidden(world: World) -> None:
    _open(world.client("clinician"))
    west = world.client("clinician", world.province.west)
    encounter = Encounter.objects.get()

    assert west.get("/desk/?at=EAST").status_code == 404
    assert west.post(f"/desk/encounters/{encounter.pk}/close").status_code == 404
    assert "V1" not in west.get("/desk/").content.decode()
    consent = access.give_consent(
        world.province.east, access.make_patient(world.province.east, "X")
    )
    assert west.post(f"/desk/consents/{consent.pk}/withdraw").status_code == 404


def test_the_lists_are_searched_by_post_and_paged(world: World) -> None:
    client = world.client("institution_admin")
    for number in range(25):
        person = access.make_patient(world.province.east, f"N{number}").person
        access.open_encounter(world.province.east, person, visit_number=f"VN{number}")

    first = client.get("/desk/").content.decode()
    second = client.post("/desk/", {"encounters": "2"}).content.decode()
    found = client.post("/desk/", {"q": "VN7"}, headers={"HX-Request": "true"}).content.decode()

    assert (first.count('mono">VN'), second.count('mono">VN')) == (20, 5)
    assert "VN7" in found
    assert "VN8" not in found
    assert "<h1" not in found


def test_a_consent_is_noted_with_its_scope_and_withdrawn(world: World) -> None:
    client = world.client("clinician")
    access.make_patient(world.province.east, "E1", person=world.there.person)
    address = f"/studies/WEST/{world.study.study_instance_uid}/"
    given = {"number": "E1", "given": "paper", "days": "30", "held_by": [world.province.west.pk]}

    answer = client.post("/desk/consents", given)

    assert answer.status_code == 302
    consent = Consent.objects.get()
    assert consent.held_by == [world.province.west.pk]
    assert client.get(address).status_code == 200
    assert "西部医院" in client.get("/desk/").content.decode()
    client.post(f"/desk/consents/{consent.pk}/withdraw")
    assert client.get(address).status_code == 404


def test_a_consent_of_an_unknown_patient_is_refused_at_the_form(world: World) -> None:
    answer = world.client("clinician").post(
        "/desk/consents", {"number": "nobody", "given": "paper", "days": "30"}
    )

    assert answer.status_code == 422
    assert not Consent.objects.exists()


def _known(world: World, client: Client) -> str:
    """The page of a person opens to who has found it by an exact identity, or knows a patient of it."""
    access.make_patient(world.province.east, "E1", person=world.there.person)
    return str(world.there.person.key)


def test_breaking_the_glass_needs_a_reason_opens_and_ends(world: World) -> None:
    client = world.client("clinician")
    key = _known(world, client)
    address = f"/studies/WEST/{world.study.study_instance_uid}/"
    assert not inline_parts(client.get(f"/emergency/{key}/").content.decode())

    short = client.post(f"/emergency/{key}/", {"reason": "急"})
    assert short.status_code == 422
    assert client.get(address).status_code == 404

    done = client.post(f"/emergency/{key}/", {"reason": REASON})
    assert (done.status_code, done["Location"]) == (302, f"/patients/{key}/")
    assert client.get(address).status_code == 200
    opened = EmergencyAccess.objects.get()
    assert f"/emergency/{opened.pk}/end" in client.get("/").content.decode()

    colleague = world.client("radiologist")
    assert colleague.get(address).status_code == 404
    assert colleague.post(f"/emergency/{opened.pk}/end").status_code == 404
    assert client.post(f"/emergency/{opened.pk}/end").status_code == 302
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("role", ["institution_admin", "integrator", "commission", "auditor", ""])
def test_emergency_access_is_closed_to_who_treats_nobody(world: World, role: str) -> None:
    client = world.client(role)
    key = _known(world, client)

    assert client.get(f"/emergency/{key}/").status_code == 403
    assert client.post(f"/emergency/{key}/", {"reason": REASON}).status_code == 403
    assert not EmergencyAccess.objects.exists()


def test_a_person_of_whom_nothing_may_be_known_is_not_there(world: World) -> None:
    client = world.client("clinician")

    hidden = client.get(f"/emergency/{world.there.person.key}/")
    absent = client.get("/emergency/nobody/")

    assert (hidden.status_code, absent.status_code) == (404, 404)


def test_the_patients_page_says_which_right_there_is_or_how_to_get_one(world: World) -> None:
    client = world.client("clinician")
    key = _known(world, client)

    without = client.get(f"/patients/{key}/").content.decode()
    assert f"/emergency/{key}/" in without
    assert f"/desk/?person={key}" in without
    assert 'value="E1"' in client.get(f"/desk/?person={key}").content.decode()

    access.open_encounter(world.province.east, world.there.person)
    forget_sights()
    within = client.get(f"/patients/{key}/").content.decode()
    assert "being treated in your hospital" in within
    assert f"/emergency/{key}/" not in within
