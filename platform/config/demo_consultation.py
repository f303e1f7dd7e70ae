"""The demo's departments, and a question of the county hospital to the university's as soon as there is a study."""

from __future__ import annotations

from django.conf import settings

from common.accounts import people
from hospitals import selectors as hospital_selectors
from hospitals import services as hospital_services
from sharing.selectors import visible_studies
from sharing.selectors.consultations import taking_part
from sharing.services.consulting.asking import Question, ask

ACTOR = "demo"
UNIVERSITY, COUNTY = "jcdx-hospital", "yunxi-county"
RADIOLOGIST, CLINICIAN = "demo-radiologist", "demo-clinician"
DEPARTMENTS = ((UNIVERSITY, "影像会诊中心", RADIOLOGIST), (COUNTY, "急诊科", CLINICIAN))


def seed() -> None:
    """The departments with one person each; those that are there already stay."""
    for code, name, username in DEPARTMENTS:
        institution = hospital_selectors.get_institution(code=code)
        if hospital_selectors.list_departments(institution_id=institution.pk):
            continue
        department = hospital_services.add_department(
            actor=ACTOR, institution=institution, name=name
        )
        hospital_services.join_department(
            actor=ACTOR, department=department, user=people.get_person(username=username)
        )


def ask_once(*, study_id: int) -> None:
    """The county's clinician asks about the first of their hospital's studies that can be read; once."""
    if not settings.DEMO:
        return
    clinician = people.get_person(username=CLINICIAN)
    studies = visible_studies(clinician, institution_code=COUNTY)
    study = studies.filter(pk=study_id).exclude(patient_name="").first()
    if study is None or taking_part(clinician).exists():
        return
    university = hospital_selectors.get_institution(code=UNIVERSITY)
    departments = hospital_selectors.list_departments(institution_id=university.pk)
    ask(
        actor=clinician,
        question=Question(
            asking_institution_id=study.institution_id,
            asked_institution_id=university.pk,
            department_id=departments[0].department_id if departments else None,
            question="请上级医院会诊：所见病灶的性质，是否需要进一步检查或转诊？",
            summary="（演示）患者因不适就诊，本院已完成影像检查，临床考虑需要上级医院协助判断。",
            urgency="urgent",
            days=7,
        ),
        studies=[study],
    )
