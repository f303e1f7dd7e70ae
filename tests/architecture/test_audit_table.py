"""Every address says which entry of the audit it makes, or why it makes none."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from common.audit import services as audit_services
from common.audit.actions import ACTIONS
from common.audit.models import AuditEntry, RepeatedAccess
from sharing.models import LocalPatient, Person
from tests.architecture.audit_table import SILENT, WRITES
from tests.architecture.test_open_routes import ROUTES
from tests.support.pages import Province, make_province

NAMES = {name for name, _address in ROUTES}


def test_every_address_has_a_line_and_every_line_an_address() -> None:
    missing = NAMES - WRITES.keys() - SILENT.keys()
    gone = (WRITES.keys() | SILENT.keys()) - NAMES

    assert missing == set(), "say in tests/architecture/audit_table.py what each of these notes"
    assert gone == set()
    assert WRITES.keys() & SILENT.keys() == set()


def test_every_action_of_the_table_is_known() -> None:
    assert {action for actions in WRITES.values() for action in actions} <= ACTIONS.keys()


@pytest.fixture
def province(db: None, settings: object, tmp_path: object) -> Province:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"  # type: ignore[attr-defined]
    province = make_province()
    person = Person.objects.create(key="7QX2K9")
    patient = LocalPatient.objects.create(institution=province.east, number="PID-1", person=person)
    province.study.person, province.study.local_patient = person, patient
    province.study.save()
    return province


UID = "1.2.826.0.1.3680043.8.498.7.1"
# Name of the address, role, address, form (POST where there is one), and whether the entry names the patient.
LOOKS = [
    ("sharing:home", "radiologist", "/", None, False),
    ("sharing:studies", "radiologist", "/studies/", {"patient_name": "zhang"}, False),
    ("sharing:export", "radiologist", "/studies/export.csv", {"modality": "CT"}, False),
    ("sharing:study", "radiologist", f"/studies/EAST/{UID}/", None, True),
    ("sharing:study", "commission", f"/studies/EAST/{UID}/", None, True),
    ("sharing:view", "radiologist", f"/studies/EAST/{UID}/view/{UID}.1/", None, True),
    ("sharing:priors", "radiologist", f"/studies/EAST/{UID}/priors/", None, False),
    ("sharing:patient", "radiologist", "/patients/7QX2K9/", None, True),
    ("dicomweb:search-studies", "radiologist", "/dicom-web/studies?PatientID=x", None, False),
    ("dicomweb:at:search-studies", "clinician", "/dicom-web/at/EAST/studies", None, False),
    ("dicomweb:search-study-series", "radiologist", f"/dicom-web/studies/{UID}/series", None, False),
    ("fhir:search-imagingstudy", "radiologist", "/fhir/ImagingStudy?modality=CT", None, False),
    ("fhir:search-patient", "radiologist", "/fhir/Patient?name=zhang", None, False),
    ("fhir:read-patient", "radiologist", "/fhir/Patient/7QX2K9", None, True),
    ("audit:trail", "commission", "/audit/", None, False),
    ("audit:unusual", "commission", "/audit/unusual/", None, False),
    ("audit:patient", "commission", "/audit/patients/7QX2K9/", None, True),
    ("audit:sheet", "commission", "/audit/patients/7QX2K9/print/", None, True),
    ("audit:patients", "commission", "/audit/patients/", {"phone": "13800000000"}, False),
    ("fhir:search-auditevent", "commission", "/fhir/AuditEvent", None, False),
    ("hospitals:suspend", "commission", "/hospitals/WEST/suspend", {"reason": "x"}, False),
]  # fmt: skip


def noted() -> list[dict[str, object]]:
    """What the trail holds, and what is still counted."""
    entries = list(AuditEntry.objects.values())
    return entries + [row.values for row in RepeatedAccess.objects.all()]


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "role", "address", "form", "of_person"), LOOKS)
def test_what_the_table_says_is_written(
    province: Province,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    role: str,
    address: str,
    form: dict[str, str] | None,
    of_person: bool,
) -> None:
    client = province.client(role)
    monkeypatch.setattr(audit_services, "counts", audit_services._Counts())
    before = len(noted())

    accept = {"Accept": "*/*"} if address.startswith(("/dicom-web", "/fhir")) else {}
    answer = client.get(address, headers=accept) if form is None else client.post(address, form)

    assert answer.status_code in {200, 302}, answer.content
    found = [each for each in noted()[before:] if each["action"] in WRITES[name]]
    assert found, [each["action"] for each in noted()]
    for each in found:
        assert (each["actor_kind"], each["result"]) == ("user", "success")
        assert each["actor_name"]
        assert each["address"] == "127.0.0.1"
        if role != "commission":
            assert each["actor_institution_code"] == "EAST"
    assert any(each["person_key"] == "7QX2K9" for each in found) is of_person
    if name == "sharing:study" and role == "radiologist":
        assert found[0]["basis"] == "own-institution"
    said = str([each["detail"] for each in found])
    assert "zhang" not in said
    assert "13800000000" not in said


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "address", "result"),
    [
        ("auditor", "/audit/", "refused"),
        ("radiologist", "/operations/", "refused"),
        ("radiologist", "/dicom-web/studies/1.2.3.4", "not-found"),
        ("radiologist", "/dicom-web/studies/1.2.826.0.1.3680043.8.498.7.3/metadata", "not-found"),
    ],
)
def test_what_is_refused_is_noted_too(
    province: Province, monkeypatch: pytest.MonkeyPatch, role: str, address: str, result: str
) -> None:
    client = province.client(role)
    monkeypatch.setattr(audit_services, "counts", audit_services._Counts())

    client.get(address)

    (entry,) = [each for each in noted() if each["action"] == "access.refused"]
    assert (entry["result"], entry["person_key"]) == (result, "")


@pytest.mark.django_db
def test_a_refused_log_in_is_noted_and_the_password_is_not(client: Client) -> None:
    client.post("/accounts/login/", {"username": "nobody", "password": "a-secret-phrase"})

    assert settings.SECRET_KEY
    assert "a-secret-phrase" not in str(noted())
