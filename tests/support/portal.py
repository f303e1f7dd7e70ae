"""A small province with a patient in two hospitals, for stories of the portal."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

from sharing.domain.report import ReportContent, ReportStatus
from sharing.models import Person, ReportVersion, Study
from sharing.services import reports
from sharing.services.patients import PatientFacts, register_patient
from tests.support.pages import Province, make_province, make_study

RESIDENT_ID = "990101199003070015"
NAME = "Zhang^San=张^三"


@dataclass
class Portal:
    """The province, and the person that its stories are about; ``far`` is known at the other hospital alone."""

    province: Province
    person: Person
    own: Study
    other: Study
    far: Study


def make_portal() -> Portal:
    """Fill the database."""
    province = make_province()
    facts = PatientFacts(
        name=NAME,
        birth_date=dt.date(1990, 3, 7),
        sex="M",
        resident_id=RESIDENT_ID,
        phone="13800138000",
    )
    own = province.study
    _belongs(own, "PID-1", facts)
    other = make_study(province.west, 7, name=NAME)
    Study.objects.filter(pk=other.pk).update(study_description="头颅MR平扫", modalities=["MR"])
    person = _belongs(other, "PID-7", facts)
    far = make_study(province.west, 9, name="Qian^Duo=钱^多")
    _belongs(
        far,
        "PID-9",
        PatientFacts(name="Qian^Duo=钱^多", sex="F", insurance_code="YB-778899"),
    )
    reports.receive_report(
        actor="test",
        institution_id=province.east.pk,
        content=ReportContent(
            status=ReportStatus.FINAL,
            reported_at=timezone.now(),
            findings="双肺纹理清晰，未见实变影。",
            impression="胸部CT平扫未见明显异常。",
            author="王医师",
        ),
        source=ReportVersion.Source.REST,
        study_instance_uid=own.study_instance_uid,
    )
    for study in (own, other, far):
        study.refresh_from_db()
    return Portal(province, person, own, other, far)


def _belongs(study: Study, number: str, facts: PatientFacts) -> Person:
    patient = register_patient(
        actor="test", institution_id=study.institution_id, issuer="", number=number, facts=facts
    )
    Study.objects.filter(pk=study.pk).update(
        local_patient=patient,
        person_id=patient.person_id,
        patient_id=number,
        patient_sex=facts.sex or "",
        patient_birth_date=facts.birth_date,
    )
    return patient.person
