"""Patients of tests: who they are is made up; resident IDs are policy P1's synthetic ones."""

from __future__ import annotations

from datetime import date
from typing import Any

from sharing.domain.identities import PatientFacts
from sharing.models import LocalPatient, Study
from sharing.services import assigning
from sharing.services.patients import register_patient

MALE_ID = "990101200001010014"  # born 2000-01-01
FEMALE_ID = "99010119810101002X"  # born 1981-01-01
LEAP_ID = "990101198002290011"


def assigned(study: Study) -> Study:
    """The study with its patient and person, as the writers of the index leave it."""
    if assigning.assign_patient(study):
        study.save()
    return study


def registered(institution: Any, number: str, *, actor: Any = "his", **facts: Any) -> LocalPatient:
    """A patient as a HIS registers it; born 1980-05-06, a man, where nothing is said."""
    said = {"birth_date": date(1980, 5, 6), "sex": "M"} | facts
    return register_patient(
        actor=actor, institution_id=institution.pk, number=number, facts=PatientFacts(**said)
    )


def tables() -> dict[str, list[tuple[Any, ...]]]:
    """Who belongs to whom, in every table that says so but the history."""
    return {
        "patients": list(LocalPatient.objects.order_by("pk").values_list()),
        "studies": list(Study.objects.order_by("pk").values_list()),
    }
