"""Persons, and the reasons for which somebody may see their examinations, for tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from sharing.models import Consent, EmergencyAccess, Encounter, LocalPatient, Person, Study
from tests.support import archive


def make_patient(institution: Any, number: str, *, person: Person | None = None) -> LocalPatient:
    """A patient of this institution, of a person of its own unless one is given."""
    person = person or Person.objects.create(key=f"P{Person.objects.count():015d}")
    return LocalPatient.objects.create(institution=institution, number=number, person=person)


def make_study(patient: LocalPatient, uid: str, **values: Any) -> Study:
    """A study of the patient, at the institution whose patient it is."""
    return archive.make_indexed_study(
        patient.institution,
        uid,
        local_patient=patient,
        person=patient.person,
        patient_id=patient.number,
        **values,
    )


def open_encounter(institution: Any, person: Person, **values: Any) -> Encounter:
    """The person is treated here: an encounter of one of its local patients, made where there is none."""
    patient = LocalPatient.objects.filter(institution=institution, person=person).first()
    patient = patient or make_patient(institution, f"here-{person.pk}", person=person)
    now = timezone.now()
    given = {
        "visit_number": f"V{Encounter.objects.count()}",
        "kind": "outpatient",
        "source": "his",
        "opened_at": now - timedelta(hours=1),
        "expires_at": now + timedelta(hours=8),
    }
    return Encounter.objects.create(institution=institution, patient=patient, **given | values)


def give_consent(institution: Any, patient: LocalPatient, **values: Any) -> Consent:
    """The patient lets readers of this institution see; all of it unless narrowed."""
    now = timezone.now()
    given = {"given": "paper", "given_at": now, "expires_at": now + timedelta(days=30)}
    return Consent.objects.create(
        institution=institution, patient=patient, person=patient.person, **given | values
    )


def break_glass(user: Any, institution: Any, patient: LocalPatient, **values: Any) -> Any:
    """Emergency access of this account to the person."""
    now = timezone.now()
    given = {
        "reason": "昏迷送入，家属无法联系",
        "started_at": now,
        "expires_at": now + timedelta(hours=4),
    }
    return EmergencyAccess.objects.create(
        user=user, institution=institution, patient=patient, person=patient.person, **given | values
    )
