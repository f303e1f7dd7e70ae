"""The page of HL7 messages: what failed and why, without a patient; replay; content for the hospital's own people."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from common.audit.models import AuditEntry
from sharing.models import HospitalMessage, Order
from sharing.services.assigning import assign_patient
from tests.sharing.hl7.conftest import Hospital, make_hospital
from tests.support.pages import Province, inline_parts, make_province

PID = "PID|1||P77^^^HIS^MR||张^三||20000101|Q"
WRONG = "ADT^A28"


@pytest.fixture
def place(db: None) -> tuple[Province, Hospital, HospitalMessage]:
    province = make_province()
    hospital = make_hospital("north")
    row = hospital.send(WRONG, PID).row
    assert row is not None
    return province, hospital, row


def client_of(province: Province, role: str, hospital: Hospital | None = None) -> Client:
    return province.client(role, institution=hospital.institution if hospital else None)


def test_the_operator_sees_what_failed_and_why_and_no_patient(place: Any) -> None:
    province, _hospital, row = place

    html = client_of(province, "operator").get("/operations/messages/").content.decode()

    assert "PID-8" in html
    assert row.control_id in html
    for secret in ("张", "P77", "20000101"):
        assert secret not in html
    assert inline_parts(html) == []


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("state=failed", True),
        ("state=done", False),
        ("kind=ADT%5EA28", True),
        ("kind=ORU%5ER01", False),
        ("institution=north", True),
        ("institution=EAST", False),
        ("since=2020-01-01", True),
        ("until=2020-01-01", False),
        ("since=nonsense&state=nonsense", True),
    ],
)
def test_messages_are_narrowed_by_state_type_hospital_and_day(
    place: Any, query: str, shown: bool
) -> None:
    province, _hospital, row = place

    html = client_of(province, "operator").get(f"/operations/messages/?{query}").content.decode()

    assert (f"/operations/messages/{row.pk}/" in html) is shown


def test_only_its_own_administrator_reads_a_message_and_that_is_in_the_audit(place: Any) -> None:
    province, hospital, row = place
    address = f"/operations/messages/{row.pk}/content"

    for role in ("operator", "commission"):
        assert client_of(province, role).post(address).status_code == 403
    assert client_of(province, "institution_admin").post(address).status_code == 404  # of EAST
    answer = client_of(province, "institution_admin", hospital).post(address)

    assert "张^三" in answer.content.decode()
    assert AuditEntry.objects.filter(action="hl7.view", object_id=str(row.pk)).count() == 1


def test_readers_and_strangers_see_no_messages(place: Any) -> None:
    province, _hospital, row = place
    for role in ("radiologist", "clinician", "auditor"):
        assert client_of(province, role).get("/operations/messages/").status_code == 403
        assert client_of(province, role).get(f"/operations/messages/{row.pk}/").status_code == 403


def test_another_hospitals_administrator_neither_sees_nor_replays_it(place: Any) -> None:
    province, _hospital, row = place
    other = client_of(province, "institution_admin")

    assert "PID-8" not in other.get("/operations/messages/").content.decode()
    assert other.get(f"/operations/messages/{row.pk}/").status_code == 404
    assert other.post(f"/operations/messages/{row.pk}/replay").status_code == 404
    row.refresh_from_db()
    assert row.tries == 1


def test_a_message_is_replayed_from_its_page(place: Any) -> None:
    province, hospital, row = place

    answer = client_of(province, "institution_admin", hospital).post(
        f"/operations/messages/{row.pk}/replay", follow=True
    )

    row.refresh_from_db()
    assert row.tries == 2
    assert "It failed again" in answer.content.decode()
    assert AuditEntry.objects.filter(action="hl7.replay").exists()


def test_the_navigation_says_how_many_wait(place: Any) -> None:
    province, _hospital, _row = place

    html = client_of(province, "operator").get("/operations/messages/").content.decode()

    assert "HL7 messages" in html


def test_the_order_stands_on_the_page_of_its_study(place: Any) -> None:
    province, _hospital, _row = place
    study = province.study
    assign_patient(study)
    study.save()
    Order.objects.create(
        institution=study.institution,
        patient=study.local_patient,
        placer_number="PL1",
        accession_number=study.accession_number,
        procedure_name="胸部CT平扫",
        reason="咳嗽三周",
        ordered_by="李四",
    )
    address = f"/studies/EAST/{study.study_instance_uid}/"

    html = client_of(province, "radiologist").get(address).content.decode()
    assert "咳嗽三周" in html
    assert "咳嗽三周" not in client_of(province, "operator").get(address).content.decode()
