"""Reports by REST: sent by a system of the institution, read by whoever may see the study."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from common.accounts.tokens import create_token, remembered
from common.audit.models import RepeatedAccess
from sharing import permissions, selectors
from sharing.models import ReportVersion
from tests.support import archive

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/reports"
UID = "1.2.826.0.1.3680043.8.498.3.1"
TOLD = {
    "accession_number": "A1",
    "status": "final",
    "findings": "两肺纹理清晰。",
    "impression": "未见异常。",
    "author": "李医生",
    "reported_at": "2026-03-01T17:30:00+08:00",
}


@pytest.fixture
def places() -> dict[str, Any]:
    permissions.forget_sights()
    selectors.forget_places()
    remembered.clear()
    near, far = archive.make_institution("near"), archive.make_institution("far")
    study = archive.make_indexed_study(near, UID, accession_number="A1", patient_id="P1")
    return {"near": near, "far": far, "study": study}


def client_of(role: str, institution: Any, scope: str = "full") -> Client:
    name = f"{role}-{institution.code if institution else ''}-{scope}"
    user = archive.make_user(name, role, institution)
    permissions.forget_sights()
    token = create_token(actor="test", user=user, scope=scope)
    return Client(headers={"Authorization": f"Bearer {token}"})


def send(client: Client, **changes: Any) -> Any:
    return client.post(ADDRESS, TOLD | changes, content_type="application/json")


def test_a_report_is_sent_once_however_often_it_comes(places: dict[str, Any]) -> None:
    pacs = client_of("integrator", places["near"])

    first, again = send(pacs), send(pacs)

    assert (first.status_code, first.json()["outcome"]) == (201, "stored")
    assert (again.status_code, again.json()["outcome"]) == (200, "duplicate")
    assert first.json()["waiting"] is False
    assert ReportVersion.objects.count() == 1


def test_an_amendment_is_a_further_version_and_an_older_message_is_none(
    places: dict[str, Any],
) -> None:
    pacs = client_of("integrator", places["near"])
    send(pacs)

    amended = send(pacs, findings="右肺结节。", reported_at="2026-03-02T08:00:00+08:00")
    late = send(pacs, findings="旧", reported_at="2026-02-28T08:00:00+08:00")
    shown = pacs.get(f"{ADDRESS}/{amended.json()['id']}").json()

    assert (amended.status_code, amended.json()["status"]) == (201, "amended")
    assert (late.status_code, late.json()["outcome"]) == (200, "stale")
    assert [each["findings"] for each in shown["versions"]] == ["右肺结节。", "两肺纹理清晰。"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"accession_number": ""}, 400, "report-invalid"),
        ({"findings": "", "impression": ""}, 400, "report-invalid"),
        ({"reported_at": "2999-01-01T00:00:00Z"}, 400, "report-invalid"),
        ({"findings": "x" * 32_001}, 400, "invalid"),
        ({"status": "unheard-of"}, 400, "invalid"),
        ({"patient_id": "P2"}, 409, "report-not-of-this-study"),
        ({"institution_code": "far"}, 403, "not-permitted"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_reason(
    places: dict[str, Any], changes: dict[str, str], status: int, code: str
) -> None:
    answer = send(client_of("integrator", places["near"]), **changes)

    assert answer.status_code == status
    assert answer.json()["code"] == code


def test_two_studies_of_one_accession_number_are_told_apart_by_the_sender(
    places: dict[str, Any],
) -> None:
    archive.make_indexed_study(places["near"], f"{UID}.2", accession_number="A1")
    pacs = client_of("integrator", places["near"])

    assert send(pacs).json()["code"] == "accession-ambiguous"
    assert send(pacs, study_instance_uid=UID).status_code == 201


def test_a_report_that_waits_is_listed_for_its_sender_and_for_nobody_else(
    places: dict[str, Any],
) -> None:
    pacs, other = client_of("integrator", places["near"]), client_of("integrator", places["far"])
    reader = client_of("radiologist", places["near"])
    sent = send(pacs, accession_number="A9")
    assert sent.json()["waiting"] is True

    assert pacs.get(ADDRESS, {"waiting": "true"}).json()["count"] == 1
    assert pacs.get(ADDRESS, {"waiting": "false"}).json()["count"] == 0
    assert other.get(ADDRESS).json()["count"] == reader.get(ADDRESS).json()["count"] == 0
    assert reader.get(f"{ADDRESS}/{sent.json()['id']}").status_code == 404


@pytest.mark.parametrize(
    ("role", "at", "sees"),
    [
        ("radiologist", "near", True),
        ("clinician", "near", True),
        ("institution_admin", "near", True),
        ("integrator", "near", True),
        ("radiologist", "far", False),
        ("commission", None, False),
        ("auditor", None, False),
        ("operator", None, False),
    ],
)
def test_a_report_is_seen_by_whoever_may_see_its_study(
    places: dict[str, Any], role: str, at: str | None, sees: bool
) -> None:
    report = send(client_of("integrator", places["near"])).json()["id"]
    client = client_of(role, places[at] if at else None, "read")

    one = client.get(f"{ADDRESS}/{report}")
    of_study = client.get(f"/api/v1/studies/near/{UID}/reports")

    assert one.status_code == of_study.status_code == (200 if sees else 404)
    assert ("两肺" in one.content.decode()) is sees
    assert RepeatedAccess.objects.filter(values__action="report.view").exists() is sees


@pytest.mark.parametrize("role", ["radiologist", "clinician", "institution_admin", "commission"])
def test_nobody_but_an_integrator_sends(places: dict[str, Any], role: str) -> None:
    client = client_of(role, None if role == "commission" else places["near"])

    assert send(client).status_code == 403


def test_a_token_for_reading_sends_nothing(places: dict[str, Any]) -> None:
    assert send(client_of("integrator", places["near"], "read")).status_code == 403
