"""Remote consultation: who may ask whom, who sees what for how long, what was said and signed stays."""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import DatabaseError, transaction
from django.utils import timezone

from common.accounts import factors, throttle
from common.accounts.confirming import NotConfirmed
from common.accounts.models import LoginThrottle, SecondFactor
from common.audit.models import AuditEntry
from common.errors import NotFound, NotPermitted
from hospitals import services as hospital_services
from sharing import errors
from sharing.models import Consultation, ConsultationOpinion, ConsultationStudy
from sharing.permissions import decide, forget_sights
from sharing.selectors import consultations as reads
from sharing.selectors.consultations import Box
from sharing.services import consents, emergency
from sharing.services.consulting import answering, asking, ending, signing
from sharing.services.consulting.signing import Draft
from tests.support import access, archive
from tests.support.consulting import PASSWORD, Hospitals, make_hospitals

pytestmark = pytest.mark.django_db
DRAFT = Draft(
    opinion="考虑新发脑梗死。", findings="左侧基底节区片状低密度影。", advice="建议MRI弥散。"
)


@pytest.fixture
def place() -> Hospitals:
    return make_hospitals()


def granted(user: Any, at: Any = None) -> list[int]:
    return ConsultationStudy.objects.granted_to(
        user.pk, at=at or timezone.now(), on=timezone.localdate()
    )


def signed(place: Hospitals, row: Consultation, draft: Draft = DRAFT) -> ConsultationOpinion:
    return signing.sign(actor=place.neuro, consultation_id=row.pk, draft=draft, password=PASSWORD)


def test_a_department_that_is_asked_sees_exactly_the_attached_studies(place: Hospitals) -> None:
    place.ask()

    assert granted(place.neuro) == granted(place.chest) == [place.study.pk]
    assert granted(place.outsider) == []


def test_a_colleague_that_is_asked_by_name_sees_them_alone(place: Hospitals) -> None:
    place.ask(user_id=place.neuro.pk)

    assert granted(place.neuro) == [place.study.pk]
    assert granted(place.chest) == []


def end_by(place: Hospitals, row: Consultation, way: str) -> None:
    if way == "declined":
        answering.decline(actor=place.neuro, consultation_id=row.pk, reason="无此专业")
    elif way == "withdrawn":
        ending.withdraw(actor=place.asker, consultation_id=row.pk)
    elif way == "closed":
        answering.accept(actor=place.neuro, consultation_id=row.pk)
        signed(place, row)
        ending.close(actor=place.asker, consultation_id=row.pk)
    else:
        ending.run(now=timezone.now() + timedelta(days=8))


@pytest.mark.parametrize("way", ["declined", "withdrawn", "closed", "expired"])
def test_the_right_ends_with_the_consultation_at_once(place: Hospitals, way: str) -> None:
    row = place.ask()

    end_by(place, row, way)

    row.refresh_from_db()
    assert row.state == way
    assert row.closed_at is not None
    assert granted(place.neuro) == granted(place.asker) == []


def test_the_right_ends_with_the_term_even_when_no_job_runs(place: Hospitals) -> None:
    row = place.ask(days=1)

    assert granted(place.neuro, row.expires_at - timedelta(seconds=1)) == [place.study.pk]
    assert granted(place.neuro, row.expires_at) == []


def test_the_right_ends_when_somebody_leaves_the_department_or_the_hospital(
    place: Hospitals,
) -> None:
    place.ask()
    hospital_services.leave_department(
        actor="test", department=place.department, user_id=place.chest.pk
    )
    hospital_services.end_membership(actor="test", membership=place.neuro.memberships.get())

    assert granted(place.chest) == granted(place.neuro) == []


@pytest.mark.parametrize("state", ["suspended", "left"])
def test_people_of_a_suspended_institution_see_no_partners_study_by_it_I5(
    place: Hospitals, state: str
) -> None:
    place.ask()
    place.university.state, place.university.state_reason = state, "why"
    place.university.save()

    assert granted(place.neuro) == []


def test_what_the_asked_side_attaches_is_seen_by_the_asker_too(place: Hospitals) -> None:
    row = place.ask()

    added = asking.attach(actor=place.neuro, consultation_id=row.pk, studies=[place.prior])

    assert added == 1
    assert granted(place.asker) == [place.study.pk, place.prior.pk]
    assert asking.attach(actor=place.neuro, consultation_id=row.pk, studies=[place.prior]) == 0


def test_a_study_that_one_sees_by_a_consultation_is_not_passed_on(place: Hospitals) -> None:
    row = place.ask()
    forget_sights()

    with pytest.raises(errors.StudyNotPassedOn):
        asking.attach(actor=place.neuro, consultation_id=row.pk, studies=[place.other])
    third = hospital_services.add_department(actor="test", institution=place.county, name="急诊科")
    hospital_services.join_department(actor="test", department=third, user=place.asker)
    again = place.question(
        asking_institution_id=place.university.pk,
        asked_institution_id=place.county.pk,
        department_id=third.pk,
    )
    with pytest.raises(errors.StudyNotPassedOn):
        asking.ask(actor=place.neuro, question=again, studies=[place.study])


@pytest.mark.parametrize("way", ["emergency", "consent"])
def test_what_an_emergency_or_a_consent_opened_does_not_outlive_it_by_a_consultation(
    place: Hospitals, way: str
) -> None:
    patient = access.make_patient(place.county, "P7")
    theirs = access.make_study(
        access.make_patient(place.university, "U7", person=patient.person), "1.2.7"
    )
    if way == "emergency":
        emergency.break_glass(
            actor=place.asker, person=patient.person, reason="昏迷送入抢救室，需要既往影像"
        )
    else:
        consents.give_consent(
            actor=place.asker, patient=patient, institution_id=place.county.pk, given="paper"
        )
    forget_sights()
    assert decide(place.asker, theirs).basis == way

    with pytest.raises(errors.StudyNotPassedOn):
        asking.ask(actor=place.asker, question=place.question(days=30), studies=[theirs])

    assert granted(place.asker) == granted(place.neuro) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"question": " \x00"}, errors.ConsultationInvalid, id="no question"),
        pytest.param({"question": "x" * 8001}, errors.ConsultationInvalid, id="too long"),
        pytest.param({"days": 365}, errors.ConsultationInvalid, id="a year"),
        pytest.param({"urgency": "now"}, errors.ConsultationInvalid, id="urgency"),
        pytest.param({"department_id": 0}, errors.NobodyToAsk, id="no department"),
        pytest.param({"department_id": None}, errors.NobodyToAsk, id="nobody"),
        pytest.param({"asking_institution_id": 0}, NotPermitted, id="works elsewhere"),
    ],
)
def test_a_question_that_cannot_be_asked_leaves_nothing(
    place: Hospitals, change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        place.ask(**change)

    assert not Consultation.objects.exists()


def test_somebody_in_no_department_is_not_asked_from_outside(place: Hospitals) -> None:
    with pytest.raises(errors.NobodyToAsk):
        place.ask(user_id=place.outsider.pk)


def test_a_consultation_without_a_study_is_not_asked(place: Hospitals) -> None:
    with pytest.raises(errors.ConsultationInvalid):
        asking.ask(actor=place.asker, question=place.question(), studies=[])

    assert not Consultation.objects.exists()


@pytest.mark.parametrize("role", ["institution_admin", "integrator", "commission", "auditor"])
def test_only_readers_of_images_ask(place: Hospitals, role: str) -> None:
    at = place.county if role in {"institution_admin", "integrator"} else None
    user = archive.make_user("somebody", role, at)

    with pytest.raises(NotPermitted):
        asking.ask(actor=user, question=place.question(), studies=[place.study])


def test_each_side_does_its_own_part_only(place: Hospitals) -> None:
    row = place.ask()

    with pytest.raises(errors.NotYourPart):
        answering.accept(actor=place.asker, consultation_id=row.pk)
    with pytest.raises(errors.NotYourPart):
        ending.withdraw(actor=place.neuro, consultation_id=row.pk)
    with pytest.raises(NotFound):
        answering.write(actor=place.outsider, consultation_id=row.pk, text="我也看看")


def test_a_question_is_accepted_once(place: Hospitals) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)

    with pytest.raises(errors.ConsultationStateConflict):
        answering.accept(actor=place.chest, consultation_id=row.pk)


def test_a_forwarded_question_is_asked_anew_and_who_was_named_before_sees_it_no_longer(
    place: Hospitals,
) -> None:
    row = place.ask(user_id=place.neuro.pk)
    answering.accept(actor=place.neuro, consultation_id=row.pk)

    answering.forward(
        actor=place.neuro, consultation_id=row.pk, user_id=place.chest.pk, text="请孙主任看"
    )

    row.refresh_from_db()
    assert (row.state, row.accepted_by, row.asked_user) == ("asked", None, place.chest)
    assert granted(place.neuro) == []
    assert granted(place.chest) == [place.study.pk]
    with pytest.raises(NotFound):
        reads.get_consultation(actor=place.neuro, consultation_id=row.pk)


def test_a_question_is_forwarded_within_the_department_only(place: Hospitals) -> None:
    row = place.ask()

    with pytest.raises(errors.NobodyToAsk):
        answering.forward(actor=place.neuro, consultation_id=row.pk, user_id=place.outsider.pk)


def test_an_opinion_is_signed_with_the_password_and_sealed(place: Hospitals) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)

    opinion = signed(place, row)

    row.refresh_from_db()
    assert row.state == "answered"
    assert row.answered_at == opinion.signed_at
    assert (opinion.author_name, opinion.institution_code) == ("钱教授", "university")
    assert opinion.study_instance_uids == [place.study.study_instance_uid]
    assert reads.is_sound(ConsultationOpinion.objects.get())


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD.upper()])
def test_a_wrong_password_signs_nothing_and_is_counted(place: Hospitals, password: str) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)

    with pytest.raises(NotConfirmed):
        signing.sign(actor=place.neuro, consultation_id=row.pk, draft=DRAFT, password=password)

    assert not ConsultationOpinion.objects.exists()
    assert LoginThrottle.objects.exists()
    assert AuditEntry.objects.filter(action="identity.confirm", result="refused").exists()


def test_wrong_codes_lock_the_signature_whatever_log_ins_come_between(place: Hospitals) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    enrolment = factors.begin_enrolment(place.neuro, issuer="test")
    totp = TOTP(base64.b32decode(enrolment.plain_key), 6, SHA1(), 30)
    now = int(time.time())
    factors.confirm_enrolment(place.neuro, totp.generate(now).decode())
    SecondFactor.objects.update(last_step=0)

    for _ in range(5):
        with pytest.raises(NotConfirmed):
            signing.sign(
                actor=place.neuro, consultation_id=row.pk, draft=DRAFT, password=PASSWORD, code="000000",
            )  # fmt: skip
        throttle.forgive(username="neuro")  # as a log-in with the right password does
    with pytest.raises(NotConfirmed):
        signing.sign(
            actor=place.neuro,
            consultation_id=row.pk,
            draft=DRAFT,
            password=PASSWORD,
            code=totp.generate(int(time.time())).decode(),
        )

    assert not ConsultationOpinion.objects.exists()


def test_five_wrong_passwords_lock_the_signature_too(place: Hospitals) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    for _ in range(5):
        with pytest.raises(NotConfirmed):
            signing.sign(actor=place.neuro, consultation_id=row.pk, draft=DRAFT, password="no")

    with pytest.raises(NotConfirmed):
        signed(place, row)


def test_an_opinion_needs_acceptance_first(place: Hospitals) -> None:
    row = place.ask()

    with pytest.raises(errors.ConsultationStateConflict):
        signed(place, row)


def test_an_amendment_is_a_further_version_with_a_reason(place: Hospitals) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    first = signed(place, row)

    with pytest.raises(errors.ConsultationInvalid):
        signed(place, row)
    second = signed(place, row, Draft(opinion="考虑陈旧性病灶。", reason="对照旧片"))

    assert (second.number, second.previous_digest) == (2, first.digest)
    view = reads.view_consultation(actor=place.asker, consultation_id=row.pk, now=timezone.now())
    assert [(each.opinion.number, each.sound, each.newest) for each in view.opinions] == [
        (2, True, True),
        (1, True, False),
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE sharing_consultationopinion SET opinion = 'x'",
        "DELETE FROM sharing_consultationopinion",
        "TRUNCATE sharing_consultationopinion",
        "UPDATE sharing_consultationentry SET text = 'x'",
        "DELETE FROM sharing_consultationentry",
    ],
)
def test_the_database_refuses_to_change_what_was_said_and_signed(
    place: Hospitals, sql: str
) -> None:
    from django.db import connection

    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    signed(place, row)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize("name", ["opinion", "author_name", "signed_at", "study_instance_uids"])
def test_an_opinion_that_was_altered_behind_the_triggers_is_found(
    place: Hospitals, name: str
) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    opinion = signed(place, row)
    changes = {
        "opinion": "正常。",
        "author_name": "别人",
        "signed_at": opinion.signed_at - timedelta(hours=1),
        "study_instance_uids": ["1.2.2"],
    }

    setattr(opinion, name, changes[name])
    assert not reads.is_sound(opinion)
    # Whoever also makes the digest anew lacks the key of the seal.
    opinion.digest = reads.content_of(opinion).digest()
    assert not reads.is_sound(opinion)


def test_an_open_opinion_is_closed_not_withdrawn_and_an_unanswered_question_withdrawn_not_closed(
    place: Hospitals,
) -> None:
    row = place.ask()
    with pytest.raises(errors.ConsultationStateConflict):
        ending.close(actor=place.asker, consultation_id=row.pk)
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    signed(place, row)

    with pytest.raises(errors.ConsultationStateConflict):
        ending.withdraw(actor=place.asker, consultation_id=row.pk)


def test_nothing_is_added_after_the_end(place: Hospitals) -> None:
    row = place.ask()
    ending.withdraw(actor=place.asker, consultation_id=row.pk)

    with pytest.raises(errors.ConsultationEnded):
        answering.write(actor=place.neuro, consultation_id=row.pk, text="还在吗")
    with pytest.raises(errors.ConsultationEnded):
        asking.attach(actor=place.asker, consultation_id=row.pk, studies=[place.other])


def test_those_asked_are_reminded_once_and_before_the_term_ends_once(place: Hospitals) -> None:
    row = place.ask(urgency="emergency", days=1)
    soon = row.opens_at + timedelta(minutes=20)

    assert [ending.run(now=row.opens_at), ending.run(now=soon), ending.run(now=soon)] == [
        (0, 0), (0, 1), (0, 0)
    ]  # fmt: skip
    late = row.expires_at - timedelta(hours=1)
    assert [ending.run(now=late), ending.run(now=late)] == [(0, 1), (0, 0)]
    assert ending.run(now=row.expires_at) == (1, 0)
    assert [each.kind for each in row.entries.all()] == ["asked", "reminded", "ending", "expired"]


def test_the_inbox_counts_what_waits_and_what_is_unread(place: Hospitals) -> None:
    row = place.ask()
    assert [reads.count_waiting(one) for one in (place.neuro, place.asker, place.outsider)] == [
        1,
        0,
        0,
    ]

    answering.accept(actor=place.neuro, consultation_id=row.pk)
    assert [reads.count_waiting(one) for one in (place.neuro, place.asker)] == [0, 1]

    answering.write(actor=place.asker, consultation_id=row.pk, text="已补传薄层")
    assert [reads.count_waiting(one) for one in (place.neuro, place.asker)] == [1, 0]


def test_each_box_holds_its_consultations(place: Hospitals) -> None:
    row, ended = place.ask(), place.ask()
    ending.withdraw(actor=place.asker, consultation_id=ended.pk)

    boxes = {
        (user.username, box): [each.pk for each in reads.list_consultations(actor=user, box=box)]
        for user in (place.asker, place.chest, place.outsider)
        for box in Box
    }

    assert boxes[("asker", Box.SENT)] == boxes[("chest", Box.INBOX)] == [row.pk]
    assert boxes[("asker", Box.ENDED)] == boxes[("chest", Box.ENDED)] == [ended.pk]
    assert not any(found for (name, _), found in boxes.items() if name == "outsider")


def test_a_deleted_study_gives_no_right_and_is_named_on(place: Hospitals) -> None:
    row = place.ask()
    place.study.delete()

    view = reads.view_consultation(actor=place.neuro, consultation_id=row.pk, now=timezone.now())

    assert [each.study for each in view.studies] == [None]
    assert view.studies[0].attached.study_instance_uid == "1.2.1"


def test_every_step_is_in_the_audit_without_what_was_written(place: Hospitals) -> None:
    row = place.ask()
    answering.accept(actor=place.neuro, consultation_id=row.pk)
    answering.write(actor=place.neuro, consultation_id=row.pk, text="王达有高血压病史吗")
    signed(place, row)
    ending.close(actor=place.asker, consultation_id=row.pk)

    entries = list(AuditEntry.objects.filter(purpose="consultation"))
    assert [each.action for each in entries] == [
        "consultation.ask",
        "study.share",
        "consultation.accept",
        "consultation.write",
        "consultation.sign",
        "consultation.closed",
    ]
    assert entries[1].study_instance_uid == place.study.study_instance_uid
    assert "王达" not in str([each.detail for each in entries])
