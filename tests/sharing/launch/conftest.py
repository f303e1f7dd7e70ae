"""A hospital whose order-entry system launches, a patient who is treated there, and examinations elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from common.accounts.tokens import create_token
from sharing.domain.identities import PatientFacts
from sharing.domain.launch import SignedForm, signature
from sharing.models import Encounter, LaunchSystem, LocalPatient, Study
from sharing.permissions import forget_sights
from sharing.selectors.launches import forget_sessions
from sharing.services import encounters, launching, patients
from sharing.services.assigning import assign_patient
from tests.support.archive import make_institution, make_user

RESIDENT_ID = "990101200001010014"
ORIGIN = "http://his.example"


@dataclass
class Ward:
    """What the tests speak of. ``treated`` is the patient of the launch, ``other`` another one of the same ward."""

    home: Any
    away: Any
    account: Any
    token: str
    system: LaunchSystem
    secret: str
    treated: LocalPatient
    other: LocalPatient
    visit: Encounter
    own: Study
    foreign: Study
    others: Study

    def ask(self, client: Client | None = None, **values: Any) -> Any:
        body = {
            "patient_number": "P1",
            "clinician": {"number": "D7", "name": "李医师"},
            "purpose": "treatment",
            **values,
        }
        return (client or Client()).post(
            "/api/v1/launches",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.token}"},
        )

    def launched(self, **values: Any) -> Client:
        """A browser in which the view was opened."""
        url = self.ask(**values).json()["url"]
        client = Client(headers={"Accept": "text/html, */*", "Accept-Language": "en"})
        answer = client.get(url.removeprefix("http://testserver"))
        assert answer.status_code == 302, answer.content
        return client

    def form(self, **values: str) -> dict[str, str]:
        """A signed form, as the page of the order-entry system posts it."""
        form = replace(
            SignedForm(
                key=self.system.key_id,
                timestamp=str(int(time.time())),
                nonce="n" * 32,
                patient_number="P1",
                visit_number="",
                clinician_number="D7",
                clinician_name="李医师",
                purpose="treatment",
            ),
            **values,
        )
        return {**form.__dict__, "signature": signature(form, self.secret.encode())}


def _study(institution: Any, number: str, uid: str) -> Study:
    study = Study(
        institution=institution,
        study_instance_uid=uid,
        patient_id=number,
        patient_name="Zhang^San=张^三",
        found_at=timezone.now(),
        study_date=timezone.localdate(),
        modalities=["CT"],
    )
    assign_patient(study)
    study.save()
    return study


def make_ward() -> Ward:
    home, away = make_institution("home"), make_institution("away")
    account = make_user("his-home", "integrator", home, is_system=True)
    system, secret = launching.add_system(
        actor="test",
        institution_code="home",
        account=account,
        origins=(ORIGIN,),
        with_secret=True,
    )
    forget_sights()
    forget_sessions()

    def patient(institution: Any, number: str, facts: PatientFacts) -> LocalPatient:
        return patients.register_patient(
            actor="test", institution_id=institution.pk, number=number, facts=facts
        )

    zhang = PatientFacts(name="张^三", resident_id=RESIDENT_ID)
    treated = patient(home, "P1", zhang)
    patient(away, "A9", zhang)
    other = patient(home, "P2", PatientFacts(name="王^五"))
    visit = encounters.register_encounter(
        actor="test",
        institution_id=home.pk,
        patient=treated,
        visit_number="V1",
        kind="outpatient",
        opened_at=timezone.now() - timedelta(minutes=5),
        source="his",
    )
    treated.refresh_from_db()
    ward = Ward(
        home=home,
        away=away,
        account=account,
        token=create_token(actor="test", user=account),
        system=system,
        secret=secret,
        treated=treated,
        other=other,
        visit=visit,
        own=_study(home, "P1", "1.2.3.1"),
        foreign=_study(away, "A9", "1.2.3.2"),
        others=_study(home, "P2", "1.2.3.3"),
    )
    forget_sights()
    return ward


@pytest.fixture
def ward(db: None) -> Ward:
    return make_ward()
