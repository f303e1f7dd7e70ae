"""Two hospitals that ask each other: a clinician in the county, a department of radiologists at the university."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib.auth.hashers import make_password

from common.accounts.models import User
from hospitals import services as hospital_services
from sharing.models import Consultation, Study
from sharing.permissions import forget_sights
from sharing.services.consulting.asking import Question, ask
from tests.support import archive

PASSWORD = "a long enough one 1"


@dataclass
class Hospitals:
    """The rows that the tests of consultations speak of. Nobody shares a consortium with anybody."""

    county: Any
    university: Any
    department: Any
    asker: User
    neuro: User  # in the department
    chest: User  # in the department too
    outsider: User  # reads images at the university, in no department
    study: Study
    other: Study  # of the county, not attached
    prior: Study  # of the same patient at the university

    def question(self, **values: Any) -> Question:
        given = {
            "asking_institution_id": self.county.pk,
            "asked_institution_id": self.university.pk,
            "department_id": self.department.pk,
            "question": "左侧基底节区低密度影，是否为新发梗死？",
            "summary": "男，67岁，突发右侧肢体无力6小时。",
            "urgency": "urgent",
            "days": 7,
        }
        return Question(**(given | values))

    def ask(self, **values: Any) -> Consultation:
        return ask(actor=self.asker, question=self.question(**values), studies=[self.study])


def make_hospitals() -> Hospitals:
    """Fill the database."""
    forget_sights()
    county, university = (archive.make_institution(code) for code in ("county", "university"))
    asker = _person("asker", "赵县医", "clinician", county)
    people = {
        name: _person(name, said, "radiologist", university)
        for name, said in (("neuro", "钱教授"), ("chest", "孙主任"), ("outsider", "李医师"))
    }
    department = hospital_services.add_department(
        actor="test", institution=university, name="神经影像组"
    )
    for name in ("neuro", "chest"):
        hospital_services.join_department(actor="test", department=department, user=people[name])
    patient = {
        "patient_id": "P1",
        "patient_name": "Wang^Da=王^达",
        "patient_sex": "M",
        "modalities": ["CT"],
        "study_description": "颅脑平扫",
    }
    return Hospitals(
        county=county,
        university=university,
        department=department,
        asker=asker,
        study=archive.make_indexed_study(county, "1.2.1", **patient),
        other=archive.make_indexed_study(
            county, "1.2.2", patient_id="P2", patient_name="Li^Na=李^娜"
        ),
        prior=archive.make_indexed_study(university, "1.2.3", **(patient | {"patient_id": "U9"})),
        **people,
    )


def _person(username: str, name: str, role: str, institution: Any) -> User:
    user: User = archive.make_user(username, role, institution, first_name=name, password=_hashed())
    return user


@lru_cache(maxsize=1)
def _hashed() -> str:
    return make_password(PASSWORD)  # takes long on purpose: once for all tests
