"""Encounters and consents by REST: told by the institution's own systems, by nobody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from common.accounts.tokens import create_token, remembered
from sharing import permissions, selectors
from sharing.models import Consent, Encounter, LocalPatient
from sharing.permissions import Basis, decide
from sharing.selectors import codes
from tests.support import access, archive

pytestmark = pytest.mark.django_db
RESIDENT_ID = "990101200001010014"  # policy P1


@pytest.fixture
def places() -> dict[str, Any]:
    permissions.forget_sights()
    selectors.forget_places()
    remembered.clear()
    codes.forget()
    near, far = archive.make_institution("near"), archive.make_institution("far")
    return {"near": near, "far": far}


def client_of(role: str, institution: Any) -> Client:
    user = archive.make_user(f"{role}-{institution.code}", role, institution)
    permissions.forget_sights()
    return Client(
        headers={"Authorization": f"Bearer {create_token(actor='test', user=user, scope='full')}"}
    )


def told(**changes: Any) -> dict[str, Any]:
    return {
        "patient": {"number": "N1", "name": "Zhang^San=张^三", "resident_id": RESIDENT_ID},
        "visit_number": "V1",
        "kind": "outpatient",
        "opened_at": (timezone.now() - timedelta(hours=1)).isoformat(),
    } | changes


def send(client: Client, address: str, body: Any) -> Any:
    return client.post(f"/api/v1/{address}", body, content_type="application/json")


def test_what_the_his_tells_registers_the_patient_and_opens_the_persons_examinations(
    places: dict[str, Any],
) -> None:
    his = client_of("integrator", places["near"])
    elsewhere = client_of("integrator", places["far"])
    send(elsewhere, "encounters", told(patient={"number": "F7", "resident_id": RESIDENT_ID}))
    study = access.make_study(LocalPatient.objects.get(number="F7"), "1.2")
    reader = archive.make_user("reader", "clinician", places["near"])
    assert not decide(reader, study)

    answer = send(his, "encounters", told())

    assert answer.status_code == 201
    assert answer.json()["source"] == "his"
    assert "resident" not in str(answer.json())
    study.refresh_from_db()
    assert decide(reader, study).basis is Basis.ENCOUNTER

    closed = send(his, "encounters/close", {"visit_number": "V1"})
    assert closed.json()["closed_at"]
    assert not decide(reader, study)


def test_a_list_has_the_own_institutions_encounters_only(places: dict[str, Any]) -> None:
    near, far = client_of("integrator", places["near"]), client_of("integrator", places["far"])
    made = send(near, "encounters", told()).json()["id"]

    assert [each["id"] for each in near.get("/api/v1/encounters?open=true").json()["results"]] == [
        made
    ]
    assert far.get("/api/v1/encounters").json()["results"] == []
    assert far.get(f"/api/v1/encounters/{made}").status_code == 404
    assert send(far, "encounters/close", {"visit_number": "V1"}).status_code == 404
    named = send(far, "encounters", told(institution_code="near"))
    assert named.status_code == 404
    assert near.get("/api/v1/encounters?open=perhaps").status_code == 400


@pytest.mark.parametrize("role", ["commission", "auditor", "operator"])
def test_who_works_nowhere_registers_nothing(places: dict[str, Any], role: str) -> None:
    user = archive.make_user(role, role)
    client = Client(
        headers={"Authorization": f"Bearer {create_token(actor='test', user=user, scope='full')}"}
    )

    assert send(client, "encounters", told()).status_code == 404
    assert client.get("/api/v1/encounters").json()["results"] == []
    assert not Encounter.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"visit_number": ""}, "invalid"),
        ({"kind": "tea"}, "invalid"),
        ({"opened_at": "1990-01-01T00:00:00Z"}, "encounter-invalid"),
        ({"patient": {"number": "N1", "resident_id": "990101200001010015"}}, "identity-malformed"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    places: dict[str, Any], changes: Any, code: str
) -> None:
    answer = send(client_of("integrator", places["near"]), "encounters", told(**changes))

    assert answer.status_code == 400
    assert RESIDENT_ID[:-1] not in answer.content.decode()
    assert not Encounter.objects.exists()
    assert not LocalPatient.objects.exists()


def test_a_consent_is_noted_with_its_scope_and_withdrawn(places: dict[str, Any]) -> None:
    his = client_of("integrator", places["near"])
    patient = access.make_patient(places["near"], "N1")
    there = access.make_patient(places["far"], "F1", person=patient.person)
    seen, hidden = (
        access.make_study(there, uid, modalities=[modality])
        for uid, modality in (("1.2", "CT"), ("1.3", "MR"))
    )
    reader = archive.make_user("reader", "radiologist", places["near"])
    colleague = archive.make_user("colleague", "radiologist", places["near"])

    answer = send(
        his,
        "consents",
        {
            "patient_number": "N1",
            "given": "paper",
            "modalities": ["ct"],
            "held_by": ["far"],
            "username": "reader",
        },
    )

    assert answer.status_code == 201
    assert answer.json()["held_by"] == ["far"]
    assert decide(reader, seen).basis is Basis.CONSENT
    assert not decide(reader, hidden)
    assert not decide(colleague, seen)
    address = f"consents/{answer.json()['id']}/withdraw"
    assert send(client_of("integrator", places["far"]), address, {}).status_code == 404
    assert send(his, address, {}).json()["withdrawn_at"]
    assert not decide(reader, seen)


@pytest.mark.parametrize(
    "changes", [{"patient_number": "N9"}, {"held_by": ["nowhere"]}, {"username": "nobody"}]
)
def test_a_consent_about_what_is_not_there_is_refused(places: dict[str, Any], changes: Any) -> None:
    access.make_patient(places["near"], "N1")
    his = client_of("integrator", places["near"])

    answer = send(his, "consents", {"patient_number": "N1", "given": "paper"} | changes)

    assert answer.status_code in {400, 404}
    assert not Consent.objects.exists()
