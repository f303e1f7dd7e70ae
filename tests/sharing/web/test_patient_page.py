"""A patient's page: the time line over all hospitals, and what is said where nothing may be seen yet."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from common.accounts.models import User
from common.audit.models import AuditEntry, RepeatedAccess
from sharing.domain.coverage import Coverage, HospitalAnswer, Outcome
from sharing.models import Encounter, Person, RecentPatient, Series, Study
from sharing.permissions import forget_sights
from sharing.services import federated, portal
from sharing.services.patients import PatientFacts, register_patient
from tests.support.access import open_encounter
from tests.support.pages import Province, inline_parts, make_province, make_study

pytestmark = pytest.mark.django_db
RESIDENT_ID = "990101199003070015"


@dataclass
class Case:
    """One person in two hospitals; the reader works at the first and has no agreement with the second."""

    province: Province
    person: Person
    own: Study
    other: Study
    client: Client

    @property
    def page(self) -> str:
        return reverse("sharing:patient", args=[self.person.key])

    @property
    def html(self) -> str:
        return self.client.get(self.page).content.decode()


@pytest.fixture
def case(settings, tmp_path) -> Case:
    settings.DATA_DIR = tmp_path
    cache.clear()
    province = make_province()
    facts = PatientFacts(
        name="Zhang^San=张^三", birth_date=dt.date(1990, 3, 7), sex="M", resident_id=RESIDENT_ID
    )
    here = register_patient(
        actor="test", institution_id=province.east.pk, issuer="", number="PID-1", facts=facts
    )
    there = register_patient(
        actor="test", institution_id=province.west.pk, issuer="", number="PID-7", facts=facts
    )
    other = make_study(province.west, 7, name="Zhang^San=张^三")
    other.study_description, other.modalities = "头颅MR", ["MR"]
    other.save()
    for study, patient in ((province.study, here), (other, there)):
        patient.refresh_from_db()
        Study.objects.filter(pk=study.pk).update(
            local_patient=patient, person_id=patient.person_id, patient_id=patient.number
        )
    return Case(province, here.person, province.study, other, province.client("radiologist"))


def treat(case: Case) -> None:
    open_encounter(case.province.east, case.person)
    forget_sights()


def dates(html: str) -> list[str]:
    return re.findall(r'<time datetime="([0-9-]+)">', html)


def test_examinations_of_every_hospital_stand_in_one_line_newest_first(case) -> None:
    treat(case)

    html = case.html

    assert dates(html) == ["2026-01-07", "2026-01-01"]
    assert "西部医院" in html
    assert "own hospital" in html
    assert "open encounter" in html
    assert inline_parts(html) == []


def test_without_a_reason_only_the_own_hospital_is_shown(case) -> None:
    html = case.html

    assert dates(html) == ["2026-01-01"]
    assert "头颅MR" not in html
    assert "西部医院" not in html


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?modality=MR", ["2026-01-07"]),
        ("?part=chest", ["2026-01-01"]),
        ("?hospital=EAST", ["2026-01-01"]),
        ("?modality=MR&hospital=EAST", []),
    ],
)
def test_the_line_is_narrowed_in_the_address(case, query, shown) -> None:
    treat(case)

    assert dates(case.client.get(case.page + query).content.decode()) == shown


def test_htmx_gets_the_line_alone(case) -> None:
    html = case.client.get(case.page, headers={"HX-Request": "true"}).content.decode()

    assert html.strip().startswith('<section id="timeline"')
    assert not RecentPatient.objects.exists()


def test_the_page_asks_as_many_queries_for_forty_examinations_as_for_two(
    case, django_assert_max_num_queries
) -> None:
    treat(case)
    case.client.get(case.page)
    with django_assert_max_num_queries(40) as few:
        case.client.get(case.page)
    for number in range(20, 28):
        study = make_study(case.province.west, number, name="Zhang^San=张^三")
        Study.objects.filter(pk=study.pk).update(
            person=case.person, local_patient=case.own.local_patient
        )
        Series.objects.filter(study=study).update(body_part_examined="CHEST")

    with django_assert_max_num_queries(len(few)):
        assert len(dates(case.html)) == 10


def test_who_may_not_know_of_the_person_is_told_that_there_is_none(case) -> None:
    absent = reverse("sharing:patient", args=["0" * 16])

    for role in ("auditor", "commission", "operator"):
        assert case.province.client(role).get(case.page).status_code == 404
    assert case.client.get(absent).status_code == 404


def _elsewhere(case: Case) -> tuple[Client, Study]:
    """A person who is known at the other hospital alone, and a reader here."""
    facts = PatientFacts(
        name="Qian^Duo=钱^多", birth_date=dt.date(1988, 5, 5), sex="F", insurance_code="YB-778899"
    )
    patient = register_patient(
        actor="test", institution_id=case.province.west.pk, issuer="", number="PID-9", facts=facts
    )
    study = make_study(case.province.west, 9, name="Qian^Duo=钱^多")
    Study.objects.filter(pk=study.pk).update(
        local_patient=patient, person=patient.person, patient_id="PID-9"
    )
    study.refresh_from_db()
    return case.client, study


def test_an_exact_identity_finds_a_person_anywhere_and_says_only_that_there_is_something(
    case,
) -> None:
    client, study = _elsewhere(case)
    page = reverse("sharing:patient", args=[study.person.key])
    assert client.get(page).status_code == 404  # nobody has asked for this person yet

    found = client.post(
        reverse("sharing:studies"), {"quick": "YB-778899", "quick_kind": "insurance-code"}
    ).content.decode()
    opened = client.get(page).content.decode()

    for html in (found.split('id="results"')[1], opened):
        assert "钱*" in html
        assert "钱多" not in html
        assert "1988-05-05" not in html
        assert "PID-9" not in html
        assert "胸部平扫" not in html
        assert study.study_instance_uid not in html
        assert "西部医院" in html
    assert "1 examination" in opened
    assert page in found


def test_a_resident_id_leads_to_the_patient_and_to_the_examinations(case) -> None:
    treat(case)

    html = case.client.post(reverse("sharing:studies"), {"quick": RESIDENT_ID}).content.decode()

    assert case.page in html
    assert "Searched as: resident ID" in html
    assert html.count("<tr data-row>") == 2
    assert RESIDENT_ID not in html.split('id="results"')[1].replace(
        f'name="quick" value="{RESIDENT_ID}"', ""
    )


def test_an_identity_in_an_address_is_not_read(case) -> None:
    html = case.client.get(reverse("sharing:studies"), {"quick": RESIDENT_ID}).content.decode()

    assert (
        RESIDENT_ID not in html.split("<h1>")[1]
    )  # before it stands the switch of language: back to here
    assert "Searched as" not in html


def test_a_resident_id_that_is_none_is_said_to_be_wrong(case) -> None:
    html = case.client.post(
        reverse("sharing:studies"), {"quick": "110101199003070012"}
    ).content.decode()

    assert 'role="alert"' in html


def test_two_examinations_are_compared_in_the_viewer(case, settings) -> None:
    treat(case)
    (settings.DATA_DIR / "viewer").mkdir()
    (settings.DATA_DIR / "viewer" / "index.html").write_text("OHIF")
    address = reverse("sharing:compare", args=[case.person.key])
    ticked = [
        f"{each.institution.code}/{each.study_instance_uid}" for each in (case.other, case.own)
    ]

    both = case.client.get(address, {"study": ticked}, follow=True).redirect_chain[-1][0]
    one = case.client.get(address, {"study": ticked[:1]})

    assert f"{case.other.study_instance_uid},{case.own.study_instance_uid}" in both
    assert "hpCompare" in both
    assert one["Location"] == case.page


def test_the_hospitals_are_asked_for_the_numbers_that_they_gave(case, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        federated, "ask", lambda **given: asked.append(given["question"]) or _coverage()
    )
    treat(case)

    html = case.client.post(case.page, headers={"HX-Request": "true"}).content.decode()

    assert asked[0].namespaced
    assert set(asked[0].keys["00100020"].split("\\")) >= {"EAST:PID-1", "WEST:PID-7"}
    assert "The hospital answered" in html or "hospitals answered" in html


def _coverage() -> Coverage:
    now = timezone.now()
    answer = HospitalAnswer(code="EAST", name="东部人民医院", outcome=Outcome.ANSWERED)
    return Coverage(id="x", asked_at=now, finished_at=now, hospitals=(answer,))


def test_an_examination_that_is_only_listed_is_fetched_from_its_row(case) -> None:
    study = make_study(case.province.east, 11, name="Zhang^San=张^三", state="indexed")
    Study.objects.filter(pk=study.pk).update(person=case.person, instance_count=0)
    address = reverse("sharing:fetch", args=["EAST", study.study_instance_uid])

    assert f'hx-post="{address}?in=row"' in case.html
    row = case.client.get(f"{address}?in=row", headers={"HX-Request": "true"}).content.decode()
    assert "<section" not in row


def test_an_identity_is_masked_and_shown_for_a_reason_that_is_kept(case) -> None:
    patient = case.own.local_patient or Study.objects.get(pk=case.own.pk).local_patient
    address = reverse("sharing:unmask", args=[patient.pk])
    masked = case.html

    refused = case.client.post(address, {"field": "resident_id", "reason": ""})
    shown = case.client.post(address, {"field": "resident_id", "reason": "核对身份"})

    assert RESIDENT_ID not in masked
    assert "990***********0015" in masked
    assert RESIDENT_ID not in refused.content.decode()
    assert RESIDENT_ID in shown.content.decode()
    entry = AuditEntry.objects.get(action="patient.unmask")
    assert entry.detail["reason"] == "核对身份"


def test_a_look_at_the_line_is_in_the_audit_with_its_reasons(case) -> None:
    treat(case)
    case.client.get(case.page)

    noted = RepeatedAccess.objects.get(values__action="patient.view")

    assert set(noted.values["basis"].split(",")) == {"own-institution", "encounter"}
    assert "张" not in str(noted.values)


def test_the_last_twenty_patients_stand_on_the_start_page_until_they_are_cleared(case) -> None:
    user = User.objects.get(pk=case.client.session["_auth_user_id"])
    for number in range(25):
        portal.note_recent(actor=user, person=Person.objects.create(key=f"K{number}"))
    case.client.get(case.page)

    assert RecentPatient.objects.filter(user=user).count() == 20
    assert case.page in case.client.get("/").content.decode()

    case.client.post(reverse("sharing:recent-clear"))

    assert not RecentPatient.objects.filter(user=user).exists()


def test_a_recent_patient_who_may_not_be_seen_any_more_has_no_name(case) -> None:
    treat(case)
    case.client.get(case.page)
    Study.objects.filter(pk=case.own.pk).update(person=None)
    Encounter.objects.update(closed_at=dt.datetime.now(dt.UTC))
    forget_sights()

    html = case.client.get("/").content.decode()

    assert case.page not in html
    assert "You may not see this patient any more" in html
