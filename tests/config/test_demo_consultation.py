"""The demo asks its consultation once, as soon as there is a study to ask about; nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.accounts.models import User
from config import demo, demo_consultation
from hospitals import selectors
from sharing.models import Consultation
from tests.support.archive import make_indexed_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def county(settings: Any, tmp_path: Path) -> Any:
    settings.DEMO, settings.DATA_DIR = True, tmp_path
    settings.ALLOW_LOOPBACK_HOSPITALS = True
    (tmp_path / "demo" / "folder-hospital").mkdir(parents=True)
    demo.seed(origin_url="http://127.0.0.1:9")
    return selectors.get_institution(code=demo.COUNTY)


def test_the_university_is_asked_once_about_the_first_study_of_the_county(county: Any) -> None:
    studies = [make_indexed_study(county, f"1.2.{n}", patient_name="陈^国强") for n in (1, 2)]

    for study in studies:
        demo_consultation.ask_once(study_id=study.pk)

    row = Consultation.objects.get()
    assert row.asked_by.username == "demo-clinician"
    assert [each.study for each in row.studies.all()] == [studies[0]]
    department = row.asked_department
    assert department is not None
    people = department.members.values_list("user__username", flat=True)
    assert list(people) == ["demo-radiologist"]


def test_a_second_start_adds_no_department(county: Any) -> None:
    demo_consultation.seed()

    assert len(selectors.list_departments(institution_id=county.pk)) == 1


def test_outside_of_a_demo_nothing_is_asked(county: Any, settings: Any) -> None:
    settings.DEMO = False
    study = make_indexed_study(county, "1.2.1", patient_name="陈^国强")

    demo_consultation.ask_once(study_id=study.pk)

    assert not Consultation.objects.exists()
    assert User.objects.filter(username="demo-clinician").exists()
