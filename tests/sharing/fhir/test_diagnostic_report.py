"""DiagnosticReport: sent, read and searched (R4 DiagnosticReport)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.test import Client

from common.accounts.tokens import create_token
from common.audit.models import RepeatedAccess
from sharing import permissions
from sharing.models import ReportVersion
from tests.sharing.fhir.conftest import UID, Province, Reader, reader_of
from tests.support import archive
from tests.support.fhir import link, matches, valid
from tests.support.reports import content, take

NUMBER = "urn:x-province:report-number:"


def told(**changes: Any) -> dict[str, Any]:
    """A report as a system sends it."""
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": f"{NUMBER}near_1", "value": "R1"}],
        "status": "final",
        "code": {"text": "胸部CT报告"},
        "subject": {
            "identifier": {"system": "urn:x-province:patient-number:near_1", "value": "P1"}
        },
        "imagingStudy": [
            {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{UID}.2"}},
        ],
        "issued": "2026-01-06T10:00:00+08:00",
        "performer": [{"display": "李医生"}],
        "resultsInterpreter": [{"display": "王主任"}],
        "conclusion": "右肺结节。",
        "presentedForm": [
            {
                "contentType": "text/plain; charset=utf-8",
                "title": "findings",
                "data": base64.b64encode("右肺上叶见结节。".encode()).decode(),
            }
        ],
    } | changes


@pytest.fixture
def sender(province: Province) -> Client:
    return client_of(archive.make_user("pacs", "integrator", province.near))


def client_of(user: Any) -> Client:
    permissions.forget_sights()
    token = create_token(actor="test", user=user, scope="full")
    return Client(headers={"Authorization": f"Bearer {token}"})


def send(client: Client, resource: Any, media_type: str = "application/fhir+json") -> Any:
    body = resource if isinstance(resource, bytes) else json.dumps(resource)
    return client.post("/fhir/DiagnosticReport", body, content_type=media_type)


def test_a_report_that_is_sent_is_read_as_it_was_sent(
    province: Province, sender: Client, reader: Reader
) -> None:
    sent = send(sender, told())

    assert sent.status_code == 201
    found = valid(reader.found(sent["Location"]))
    assert found == sent.json()
    assert found["identifier"][0] == {"system": f"{NUMBER}near_1", "value": "R1"}
    assert (found["status"], found["conclusion"]) == ("final", "右肺结节。")
    assert found["issued"] == "2026-01-06T02:00:00+00:00"
    assert found["imagingStudy"] == [{"reference": f"ImagingStudy/{province.zhang.pk}"}]
    assert found["performer"][0]["reference"] == "Organization/near.1"
    assert found["performer"][1]["display"] == "李医生"
    assert base64.b64decode(found["presentedForm"][0]["data"]).decode() == "右肺上叶见结节。"
    assert RepeatedAccess.objects.filter(values__action="report.view").exists()


def test_what_is_read_can_be_sent_again_and_changes_nothing(
    province: Province, sender: Client
) -> None:
    first = send(sender, told())

    again = send(sender, told())

    assert (again.status_code, again["Location"]) == (200, first["Location"])
    assert ReportVersion.objects.count() == 1


def test_a_corrected_report_is_a_further_version(province: Province, sender: Client) -> None:
    send(sender, told())

    later = {"issued": "2026-01-07T10:00:00+08:00", "conclusion": "更正。"}
    corrected = send(sender, told(status="corrected", **later))

    assert corrected.status_code == 201
    assert (corrected.json()["status"], corrected.json()["conclusion"]) == ("amended", "更正。")
    assert ReportVersion.objects.count() == 2


@pytest.mark.parametrize(
    "named",
    [
        {"imagingStudy": [{"reference": "ImagingStudy/{pk}"}]},
        {"imagingStudy": [], "basedOn": [
            {"identifier": {"type": {"coding": [{"code": "ACSN"}]}, "value": "ACC2"}}]},
        {"imagingStudy": [], "identifier": [
            {"system": f"{NUMBER}near_1", "value": "R1"},
            {"system": "urn:x-province:accession-number:near_1", "value": "ACC2"}]},
    ],
)  # fmt: skip
def test_a_study_is_named_in_every_usual_way(
    province: Province, sender: Client, named: dict[str, Any]
) -> None:
    text = json.dumps(told(**named)).replace("{pk}", str(province.zhang.pk))

    found = send(sender, text.encode()).json()

    assert found["imagingStudy"] == [{"reference": f"ImagingStudy/{province.zhang.pk}"}]


def test_a_report_that_waits_for_its_study_says_so(province: Province, sender: Client) -> None:
    unknown = [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{UID}.77"}}]

    sent = send(sender, told(imagingStudy=unknown))

    assert sent.status_code == 201
    assert valid(sent.json())["resourceType"] == "OperationOutcome"
    assert sender.get(sent["Location"]).status_code == 404
    archive.make_indexed_study(province.near, f"{UID}.77", patient_id="P1")
    assert sender.get(sent["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"resourceType": "Patient"}, 400),
        ({"status": "unknown"}, 400),
        ({"status": 7}, 400),
        ({"issued": "yesterday"}, 400),
        ({"issued": "2026-01-06T10:00:00"}, 400),
        ({"issued": "2999-01-06T10:00:00Z"}, 400),
        ({"code": "text"}, 400),
        ({"performer": ["x"]}, 400),
        ({"presentedForm": [{"contentType": "text/plain", "data": "%%%"}]}, 400),
        ({"conclusion": "x" * 40_000}, 400),
        ({"conclusion": "", "presentedForm": []}, 400),
        ({"imagingStudy": []}, 400),
        ({"imagingStudy": [{"reference": "ImagingStudy/999999"}]}, 400),
        ({"identifier": [{"system": f"{NUMBER}partner", "value": "R1"}]}, 403),
        ({"subject": {"identifier": {"value": "P9"}}}, 409),
    ],
)
def test_what_cannot_be_kept_is_refused_as_an_outcome(
    province: Province, sender: Client, changes: dict[str, Any], status: int
) -> None:
    answer = send(sender, told(**changes))

    assert answer.status_code == status
    assert valid(answer.json())["issue"][0]["severity"] == "error"
    assert not ReportVersion.objects.exists()


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", "application/fhir+json", 400),
        (b"[]", "application/fhir+json", 400),
        (b"[" * 100_000, "application/fhir+json", 400),
        (b'{"a": "' + b"x" * 2**20 + b'"}', "application/json", 413),
        (b"<x/>", "application/fhir+xml", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
    ],
)
def test_a_body_of_another_form_is_refused(
    province: Province, sender: Client, body: bytes, media_type: str, status: int
) -> None:
    assert send(sender, body, media_type).status_code == status


def test_only_an_integrator_sends_and_no_token_for_reading(province: Province) -> None:
    reading = Client(
        headers={
            "Authorization": f"Bearer {create_token(actor='t', user=province.radiologist, scope='read')}"
        }
    )

    assert send(client_of(province.radiologist), told()).status_code == 403
    assert send(reading, told()).status_code == 403
    assert send(Client(), told()).status_code == 401


def numbers(bundle: Any) -> list[str]:
    return [each["identifier"][0]["value"] for each in matches(bundle)]


@pytest.fixture
def reports(province: Province) -> None:
    """Three reports within sight, one without."""
    for place, study, number, status, minutes in (
        (province.near, 1, "R1", "final", 0),
        (province.near, 2, "R2", "preliminary", 60 * 24),
        (province.partner, 3, "R3", "final", 60 * 48),
        (province.far, 4, "R4", "final", 0),
    ):
        take(
            place,
            content(status, f"text {number}", minutes=minutes),
            study_instance_uid=f"{UID}.{study}",
            report_number=number,
        )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["R3", "R2", "R1"]),
        ("identifier=R1", ["R1"]),
        (f"identifier={NUMBER}near_1|R1", ["R1"]),
        (f"identifier={NUMBER}partner|R1", []),
        ("identifier=ACC2", ["R2"]),
        ("identifier=R4", []),
        ("status=preliminary", ["R2"]),
        ("status=final,preliminary", ["R3", "R2", "R1"]),
        ("issued=2026-03-02", ["R2"]),
        ("issued=ge2026-03-02", ["R3", "R2"]),
        ("date=2026-01-05", ["R2"]),
        ("patient:identifier=urn:x-province:patient-number:partner|P1", ["R3"]),
        ("patient=Patient/nobody", []),
    ],
)
def test_a_search_finds_what_it_asks_for_within_sight(
    province: Province, reader: Reader, reports: None, query: str, found: list[str]
) -> None:
    assert numbers(reader.found(f"DiagnosticReport?{query}")) == found


def test_a_report_is_found_by_its_patient(
    province: Province, reader: Reader, reports: None
) -> None:
    (study,) = matches(reader.found(f"ImagingStudy?identifier=urn:oid:{UID}.3"))
    patient = study["subject"].get("reference")
    if patient is None:
        pytest.skip("rows of this test have no person yet")

    assert "R3" in numbers(reader.found(f"DiagnosticReport?patient={patient}"))


def test_pages_follow_each_other(province: Province, reader: Reader, reports: None) -> None:
    first = reader.found("DiagnosticReport?_count=2")
    second = reader.found(link(first, "next"))

    assert numbers(first) + numbers(second) == ["R3", "R2", "R1"]
    assert link(second, "next") == ""
    assert reader.get("DiagnosticReport?_page=x").status_code == 400


@pytest.mark.parametrize("role", ["commission", "auditor", "operator"])
def test_who_sees_no_pictures_reads_no_report(province: Province, reports: None, role: str) -> None:
    other = reader_of(archive.make_user(role, role))
    pk = ReportVersion.objects.filter(is_current=True).first().report_id  # type: ignore[union-attr]

    assert matches(other.found("DiagnosticReport")) == []
    assert other.get(f"DiagnosticReport/{pk}").status_code == 404


def test_the_narrative_holds_text_and_no_markup(
    province: Province, sender: Client, reader: Reader
) -> None:
    evil = "<script>alert(1)</script>&<b>"

    found = send(sender, told(conclusion=evil)).json()

    assert "<script>" not in found["text"]["div"]
    assert found["conclusion"] == evil


def test_the_statement_of_capabilities_offers_to_take_reports_in(
    province: Province, reader: Reader, sender: Client
) -> None:
    (offered,) = [
        each
        for each in reader.found("metadata")["rest"][0]["resource"]
        if each["type"] == "DiagnosticReport"
    ]

    assert {"code": "create"} in offered["interaction"]
    assert sender.post("/fhir/ImagingStudy").status_code == 405
