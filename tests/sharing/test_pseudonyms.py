"""The audit trail learns whose study an entry is about."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from common import audit
from hospitals.models import Institution, Region
from sharing.models import Study
from sharing.models.patients import LocalPatient, Person

pytestmark = pytest.mark.django_db
UID = "1.2.840.10008.77"


@pytest.fixture
def study():
    region = Region.objects.create(code="990000", name="Province")
    hospital = Institution.objects.create(code="H1", name="First", region=region)
    person = Person.objects.create(key="7QX2K9")
    patient = LocalPatient.objects.create(institution=hospital, number="1", person=person)
    return Study.objects.create(
        institution=hospital,
        study_instance_uid=UID,
        person=person,
        local_patient=patient,
        found_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_an_entry_names_the_person_of_its_study_whether_it_has_the_row_or_the_uid(study):
    by_row = audit.record("planner", "study.view", study)
    by_uid = audit.record(
        "planner", "study.view", institution_id=study.institution_id, study_instance_uid=UID
    )

    assert (by_row.person_key, by_uid.person_key) == ("7QX2K9", "7QX2K9")


def test_a_study_whose_person_is_not_known_yet_makes_an_entry_without(study):
    Study.objects.update(person=None, local_patient=None)
    study.refresh_from_db()

    assert audit.record("planner", "study.view", study).person_key == ""


def test_an_entry_about_a_patient_names_the_person(study):
    assert audit.record("planner", "patient.view", study.local_patient).person_key == "7QX2K9"
