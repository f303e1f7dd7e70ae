"""The pages of a remote consultation: who gets them, what they show, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from common.audit.models import AuditEntry, RepeatedAccess
from sharing.models import Consultation
from sharing.permissions import forget_sights
from sharing.services.consulting import answering, ending, signing
from tests.support import archive
from tests.support.consulting import PASSWORD, Hospitals, make_hospitals
from tests.support.pages import inline_parts

pytestmark = pytest.mark.django_db
STEPS = ["accept", "decline", "forward", "write", "attach", "sign", "close", "withdraw"]


@pytest.fixture
def place() -> Hospitals:
    return make_hospitals()


def browser(user: Any, language: str = "en") -> Client:
    forget_sights()
    client = Client(headers={"Accept-Language": language, "Accept": "text/html"})
    client.force_login(user)
    return client


def at(row: Consultation, step: str = "") -> str:
    if step:
        return reverse(f"sharing:consult-{step}", args=[row.pk])
    return reverse("sharing:consultation", args=[row.pk])


def new(place: Hospitals, **changes: Any) -> dict[str, Any]:
    given = {
        "at": "university",
        "whom": f"d{place.department.pk}",
        "question": "是否为新发梗死？",
        "summary": "男，67岁。",
        "urgency": "emergency",
        "days": "3",
        "from": str(place.county.pk),
        "about": "county/1.2.1",
        "study": "county/1.2.1",
    }
    return given | changes


def test_a_clinician_asks_a_department_of_another_hospital(place: Hospitals) -> None:
    client = browser(place.asker)
    there = reverse("sharing:consult-new")
    first = client.get(there, {"study": "county/1.2.1"}).content.decode()
    second = client.get(there, {"study": "county/1.2.1", "at": "university"}).content.decode()

    answer = client.post(there, new(place))

    row = Consultation.objects.get()
    assert "医院 university" in first
    assert "钱教授" not in first
    assert "钱教授" in second
    assert "李医师" not in second  # in no department
    assert answer.status_code == 302
    assert answer["Location"] == at(row)
    assert [each.study for each in row.studies.all()] == [place.study]


@pytest.mark.parametrize(
    "changes",
    [
        {"question": " "},
        {"whom": "u999999"},
        {"whom": "d"},
        {"whom": "x1"},
        {"days": "365"},
        {"days": "٣"},
        {"urgency": "<b>"},
        {"at": "nowhere"},
        {"study": []},
        {"question": "x" * 9000},
    ],
    ids=str,
)
def test_a_question_that_cannot_be_asked_is_shown_again_with_its_reason(
    place: Hospitals, changes: dict[str, Any]
) -> None:
    answer = browser(place.asker).post(reverse("sharing:consult-new"), new(place, **changes))

    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'role="alert"' in html
    assert not Consultation.objects.exists()


@pytest.mark.parametrize("study", ["university/1.2.3", "county/9.9", "x", "/", "county/1.2.1\x00"])
def test_a_study_that_one_may_not_see_cannot_be_named(place: Hospitals, study: str) -> None:
    answer = browser(place.asker).post(reverse("sharing:consult-new"), new(place, study=study))

    assert answer.status_code in ({302} if study.endswith("\x00") else {404})
    assert Consultation.objects.exists() is study.endswith("\x00")


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_pages_obey_the_policy_for_content_in_both_languages(
    place: Hospitals, language: str
) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    signing.sign(
        actor=place.neuro,
        consultation_id=row.pk,
        draft=signing.Draft(opinion="考虑新发脑梗死。"),
        password=PASSWORD,
    )
    client = browser(place.neuro, language)

    for page in (
        reverse("sharing:consultations"),
        reverse("sharing:consult-new") + "?study=county/1.2.1",
        at(row),
        at(row, "print"),
    ):
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert inline_parts(answer.content.decode()) == [], page
        assert "no-store" in answer["Cache-Control"]


def test_those_who_take_no_part_find_nothing(place: Hospitals) -> None:
    row = place.ask()
    strangers = [
        place.outsider,
        archive.make_user("admin", "institution_admin", place.university),
        archive.make_user("boss", "commission"),
        archive.make_user("auditor", "auditor"),
        archive.make_user("root", is_superuser=True),
    ]

    for user in strangers:
        client = browser(user)
        assert client.get(at(row)).status_code == 404, user
        assert client.get(at(row, "print")).status_code == 404, user
        for step in STEPS:
            assert client.post(at(row, step)).status_code == 404, (user, step)


def test_a_step_is_no_link(place: Hospitals) -> None:
    row = place.ask()

    for step in STEPS:
        assert browser(place.neuro).get(at(row, step)).status_code == 405


def test_the_asked_side_opens_the_study_and_its_neighbours_stay_hidden(place: Hospitals) -> None:
    place.ask()
    client = browser(place.neuro)

    assert client.get("/studies/county/1.2.1/").status_code == 200
    assert client.get("/studies/county/1.2.2/").status_code == 404
    assert client.get("/dicom-web/studies/1.2.2/metadata").status_code == 404


@pytest.mark.parametrize("way", ["decline", "withdraw"])
def test_the_study_is_hidden_again_when_it_ends(place: Hospitals, way: str) -> None:
    row = place.ask()
    reader = browser(place.neuro)
    assert reader.get("/studies/county/1.2.1/").status_code == 200

    actor = reader if way == "decline" else browser(place.asker)
    actor.post(at(row, way), {"reason": "无此专业"})

    assert reader.get("/studies/county/1.2.1/").status_code == 404
    html = reader.get(at(row)).content.decode()
    assert "王达" not in html
    assert "王*" in html


def test_the_navigation_says_how_many_wait(place: Hospitals) -> None:
    row = place.ask()
    client = browser(place.neuro)
    waiting = client.get("/").content.decode()
    client.post(at(row, "accept"))

    assert '<span class="tag warn">1<span' in waiting
    assert '<span class="tag warn">1<span' not in client.get("/").content.decode()
    assert '<span class="tag warn">1<span' in browser(place.asker).get("/").content.decode()


def test_an_opinion_is_signed_on_the_page_and_printed_without_a_mark_of_patients_pages_V1(
    place: Hospitals,
) -> None:
    row = place.ask()
    client = browser(place.neuro, "zh-hans")
    client.post(at(row, "accept"))

    wrong = client.post(at(row, "sign"), {"opinion": "考虑新发脑梗死。", "password": "no"})
    right = client.post(at(row, "sign"), {"opinion": "考虑新发脑梗死。", "password": PASSWORD})

    assert wrong.status_code == 409
    assert "密码不符" in wrong.content.decode()
    assert "考虑新发脑梗死。" in wrong.content.decode()  # what was typed is not lost
    assert 'value="no"' not in wrong.content.decode()
    assert right.status_code == 302
    sheet = browser(place.asker, "zh-hans").get(at(row, "print")).content.decode()
    assert "会诊意见书" in sheet
    assert "签名已核验" in sheet
    assert "仅供参考" not in sheet
    assert AuditEntry.objects.filter(action="consultation.print").exists()


def test_what_is_written_is_shown_as_text(place: Hospitals) -> None:
    row = place.ask()
    text = '<script>alert(1)</script><img src=x onerror="1">'
    browser(place.neuro).post(at(row, "write"), {"text": text})

    html = browser(place.asker).get(at(row)).content.decode()

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_htmx_gets_the_thread_and_looking_marks_it_read(place: Hospitals) -> None:
    row = place.ask()
    client = browser(place.asker)
    answering.write(actor=place.neuro, consultation_id=row.pk, text="请补薄层")

    html = client.get(at(row), headers={"HX-Request": "true"}).content.decode()

    assert html.lstrip().startswith('<section id="thread"')
    assert "请补薄层" in html
    assert "unread" not in client.get("/consultations/?box=sent").content.decode()
    noted = RepeatedAccess.objects.filter(values__action="consultation.view")
    assert noted.exists()


def test_after_the_end_no_step_is_offered_and_none_is_taken(place: Hospitals) -> None:
    row = place.ask()
    ending.withdraw(actor=place.asker, consultation_id=row.pk)
    client = browser(place.neuro)

    assert "<textarea" not in client.get(at(row)).content.decode()
    for step in ("accept", "write", "sign"):
        assert client.post(at(row, step), {"text": "x"}).status_code == 409


def test_whoever_forwards_by_name_is_led_to_the_list(place: Hospitals) -> None:
    row = place.ask(user_id=place.neuro.pk)

    answer = browser(place.neuro).post(at(row, "forward"), {"user": place.chest.pk})

    assert answer["Location"] == reverse("sharing:consultations")
    assert browser(place.neuro).get(at(row)).status_code == 404
    assert browser(place.chest).get(at(row)).status_code == 200


@pytest.mark.parametrize("box", ["inbox", "sent", "ended", "<x>", "%00"])
def test_a_box_that_is_not_there_is_the_inbox(place: Hospitals, box: str) -> None:
    assert browser(place.neuro).get("/consultations/", {"box": box}).status_code == 200


@pytest.mark.parametrize("role", ["institution_admin", "integrator", "commission", "auditor"])
def test_others_have_no_consultations(place: Hospitals, role: str) -> None:
    local = role in {"institution_admin", "integrator"}
    client = browser(archive.make_user("somebody", role, place.county if local else None))

    assert client.get("/consultations/").status_code == 403
    assert client.get("/consultations/new/").status_code == 403
    assert "/consultations/" not in client.get("/").content.decode()
