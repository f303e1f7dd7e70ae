"""Who sees what by FHIR: as everywhere (``sharing.permissions``); absent and hidden look the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_script_prefix

from common.audit.models import RepeatedAccess
from sharing.permissions import forget_sights
from tests.sharing.fhir.conftest import Province, Reader, reader_of
from tests.support import archive
from tests.support.fhir import matches, valid


def test_what_is_hidden_answers_as_what_is_absent(province: Province, reader: Reader) -> None:
    for kind in ("ImagingStudy", "Patient"):
        hidden = reader.get(f"{kind}/{province.hidden.pk}")
        absent = reader.get(f"{kind}/999999")

        assert hidden.status_code == absent.status_code == 404
        assert hidden.content == absent.content
        valid(hidden.json())


def test_no_search_reaches_what_is_hidden(province: Province, reader: Reader) -> None:
    hidden = province.hidden
    for query in (
        f"ImagingStudy?_id={hidden.pk}",
        f"ImagingStudy?identifier=urn:oid:{hidden.study_instance_uid}",
        f"ImagingStudy?patient={hidden.person.key}",
        f"ImagingStudy?series={hidden.study_instance_uid}.1",
        "ImagingStudy?endpoint=Endpoint/far",
        f"Patient?_id={hidden.person.key}",
        "Patient?identifier=urn:x-province:patient-number:far|P1",
        "Organization?_id=far",
        "Endpoint?_id=far",
    ):
        assert matches(reader.found(query)) == [], query
    assert reader.get(f"ImagingStudy?_page={hidden.pk}").status_code == 410
    assert reader.get(f"Patient?name=x&_page={hidden.person.key}").status_code == 410


@pytest.mark.parametrize("role", ["commission", "auditor", "operator"])
def test_those_who_see_no_pictures_see_institutions_and_no_patients(
    province: Province, role: str
) -> None:
    reader = reader_of(archive.make_user(role, role))

    for name in ("Organization", "Endpoint"):
        assert [each["id"] for each in matches(reader.found(name))] == ["far", "near.1", "partner"]
    assert matches(reader.found("ImagingStudy")) == []
    assert matches(reader.found("Patient?name=zhang")) == []
    assert reader.get(f"ImagingStudy/{province.zhang.pk}").status_code == 404
    assert reader.get(f"Patient/{province.zhang_older.pk}").status_code == 404


def test_an_account_without_a_role_sees_nothing(province: Province) -> None:
    reader = reader_of(archive.make_user("stranger"))

    for query in ("Organization", "Endpoint", "ImagingStudy", "Patient?name=zhang"):
        assert matches(reader.found(query)) == []


def test_a_right_that_ends_ends_here_too(province: Province, reader: Reader) -> None:
    province.radiologist.memberships.all().delete()
    forget_sights()

    assert matches(reader.found("ImagingStudy")) == []


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["metadata", "ImagingStudy", "Patient/1", "Patient/_search"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_strangers_are_turned_away_with_an_outcome(
    db: None, method: str, path: str, accept: str
) -> None:
    answer = getattr(Client(), method)(f"/fhir/{path}", headers={"Accept": accept})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert valid(answer.json())["issue"][0]["code"] == "login"


def _noted(**values: object) -> dict[str, object]:
    wanted = {f"values__{name}": value for name, value in values.items()}
    return dict(RepeatedAccess.objects.get(**wanted).values)


def test_reads_are_in_the_audit_with_their_basis(province: Province, reader: Reader) -> None:
    reader.found(f"ImagingStudy/{province.wang.pk}")
    reader.found(f"Patient/{province.zhang_older.person.key}")

    study = _noted(action="fhir.read", object_type="sharing.study")
    assert study["study_instance_uid"] == province.wang.study_instance_uid
    assert study["basis"] == "consortium-agreement"
    patient = _noted(action="fhir.read", object_type="sharing.person")
    assert patient["basis"] == "own-institution"
    assert patient["person_key"] == province.zhang_older.person.key
    assert patient["object_id"] == str(province.zhang_older.person_id)


def test_searches_are_in_the_audit_without_what_was_searched_for(
    province: Province, reader: Reader
) -> None:
    reader.found("Patient?name=zhang")
    reader.found("ImagingStudy?patient.name=zhang&_summary=count")
    reader.found("Organization?name=x")

    notes = [note.values for note in RepeatedAccess.objects.filter(values__action="fhir.search")]
    assert sorted(str(note["object_type"]) for note in notes) == [
        "sharing.patient",
        "sharing.study",
    ]
    assert "zhang" not in str(notes)


def test_a_browsers_session_may_send_a_search_and_nothing_else(province: Province) -> None:
    """A search changes nothing, so it needs no token against forgery; anything else has no address here."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(province.radiologist)

    found = client.post(
        "/fhir/Patient/_search", "name=zhang", content_type="application/x-www-form-urlencoded"
    )
    refused = client.post("/fhir/Patient", "{}", content_type="application/fhir+json")

    assert len(matches(found.json())) == 1
    assert refused.status_code in {403, 405}


def test_addresses_are_right_behind_a_proxy_with_a_prefix(
    province: Province, reader: Reader, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["images.example.org"]
    client: Client = reader._client

    with override_script_prefix("/cloud/"):  # as the WSGI server's SCRIPT_NAME does
        bundle = client.get(
            "/fhir/ImagingStudy?_count=1&_include=ImagingStudy:endpoint",
            HTTP_HOST="images.example.org:8443",
            secure=True,
        ).json()

    base = "https://images.example.org:8443/cloud"
    assert bundle["link"][0]["url"].startswith(f"{base}/fhir/ImagingStudy?")
    assert bundle["entry"][0]["fullUrl"].startswith(f"{base}/fhir/ImagingStudy/")
    assert bundle["entry"][1]["resource"]["address"] == f"{base}/dicom-web/at/near_1"
