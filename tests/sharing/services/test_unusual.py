"""Unusual access is found along the chain, once, and reviewed by people."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from django.utils import timezone

from common import audit
from common.accounts.models import User
from common.audit import sequencer
from common.audit.models import AuditEntry
from common.errors import NotPermitted
from hospitals.models import Institution, Membership, Region
from sharing.errors import AlreadySettled, NoteMissing
from sharing.models import AccessFinding, EmergencyAccess, LocalPatient, Person, ReviewPosition
from sharing.selectors import unusual as findings
from sharing.selectors.audit_trail import scope_of
from sharing.services import consents, encounters, unusual

pytestmark = pytest.mark.django_db
DAY = dt.date(2025, 1, 1)


@pytest.fixture
def hospital():
    region = Region.objects.create(code="990000", name="示范省")
    return Institution.objects.create(code="EAST", name="东部人民医院", region=region)


@pytest.fixture
def person_at(hospital):
    def make(key, name="", **more):
        person = Person.objects.create(key=key)
        LocalPatient.objects.create(
            institution=hospital, number=key, person=person, name=name, **more
        )
        return person

    return make


@pytest.fixture
def account(hospital):
    def make(name, role="radiologist", full=("", ""), **more):
        user = User.objects.create_user(name, last_name=full[0], first_name=full[1], **more)
        where = hospital if role not in {"commission"} else None
        Membership.objects.create(user=user, institution=where, role=role, valid_from=DAY)
        return user

    return make


def look(user, key, hospital, **more):
    return audit.record(
        user,
        "study.view",
        institution_id=hospital.pk,
        person_key=key,
        basis="own-institution",
        **more,
    )


def run():
    sequencer.chain_all()
    unusual.find_unusual()
    return list(AccessFinding.objects.order_by("pk"))


def test_a_look_at_somebody_of_ones_own_family_name_is_found_once(hospital, person_at, account):
    li = account("na.li", full=("Li", "Na"))
    person_at("P1", "Li^Wei=李^伟")
    person_at("P2", "Wang^Wu=王^五")

    for key in ("P1", "P2", "P1"):
        look(li, key, hospital)
    (found,) = run()
    look(li, "P1", hospital)
    (again,) = run()

    assert (found.kind, found.person_key, found.count) == ("family-name", "P1", 2)
    assert (again.pk, again.count, again.actor_institution_code) == (found.pk, 3, "EAST")
    assert again.bases == ["own-institution"]


def test_a_look_at_the_record_of_somebody_who_works_there_is_found(hospital, person_at, account):
    person_at("P1", "Zhao^Liu=赵^六", is_staff=True)

    look(account("reader"), "P1", hospital)

    assert [each.kind for each in run()] == ["staff-record"]


@pytest.mark.parametrize("ground", ["encounter", "consent"])
@pytest.mark.parametrize("by", ["reader", "colleague", "his"])
def test_a_look_by_a_ground_that_the_reader_registered_is_found(
    hospital, person_at, account, ground, by
):
    reader, colleague = account("reader"), account("colleague")
    person_at("P1")
    actor = {"reader": reader, "colleague": colleague, "his": "his"}[by]
    patient = LocalPatient.objects.get()
    if ground == "encounter":
        encounters.register_encounter(
            actor=actor, institution_id=hospital.pk, patient=patient, visit_number="V1",
            kind="outpatient", opened_at=timezone.now(), source="his" if by == "his" else "desk",
        )  # fmt: skip
    else:
        consents.give_consent(
            actor=actor, patient=patient, institution_id=hospital.pk, given="desk"
        )

    audit.record(reader, "study.view", institution_id=hospital.pk, person_key="P1", basis=ground)
    look(reader, "P1", hospital)

    expected = [("own-ground", "P1", 1)] if by == "reader" else []
    assert [(each.kind, each.person_key, each.count) for each in run()] == expected


def test_many_patients_in_a_short_time_are_found_across_pieces(
    hospital, person_at, account, settings
):
    unusual_of = dataclasses.replace(settings.AUDIT.unusual, patients=4, minutes=10)
    settings.AUDIT = dataclasses.replace(settings.AUDIT, unusual=unusual_of)
    reader = account("reader")
    for number in range(3):
        look(reader, f"P{number}", hospital)
    assert run() == []

    look(reader, "P3", hospital)
    (found,) = run()

    assert (found.kind, found.count, found.person_key) == ("many-patients", 4, "")


def test_a_system_that_reads_much_and_a_refused_attempt_are_no_findings(
    hospital, person_at, account
):
    person_at("P1", "Li^Wei=李^伟", is_staff=True)

    look(account("pacs", role="integrator", is_system=True), "P1", hospital)
    look(account("na.li", full=("Li", "Na")), "P1", hospital, result="refused")

    assert run() == []


def test_odd_hours_count_only_where_they_are_set(hospital, person_at, account, settings):
    person_at("P1", "Wang^Wu=王^五")
    reader = account("reader")
    hour = timezone.localtime().hour
    look(reader, "P1", hospital)
    assert run() == []
    odd = dataclasses.replace(settings.AUDIT.unusual, odd_hours=(hour, (hour + 1) % 24))
    settings.AUDIT = dataclasses.replace(settings.AUDIT, unusual=odd)

    look(reader, "P1", hospital)

    assert [each.kind for each in run()] == ["odd-hours"]


def test_what_was_read_is_not_read_again(
    hospital, person_at, account, django_assert_max_num_queries
):
    person_at("P1", "Wang^Wu=王^五")
    for _ in range(5):
        look(account(f"r{_}"), "P1", hospital)
    run()

    assert ReviewPosition.objects.get().sequence == 5
    with django_assert_max_num_queries(8):
        assert unusual.find_unusual() == 0


@pytest.fixture
def emergency(hospital, person_at, account):
    person = person_at("P1", "Wang^Wu=王^五")
    now = timezone.now()
    return EmergencyAccess.objects.create(
        user=account("er"), institution=hospital, person=person, patient=person.patients.get(),
        reason="无意识", started_at=now, expires_at=now + dt.timedelta(hours=4),
    )  # fmt: skip


def test_every_emergency_access_is_to_be_reviewed_and_its_review_is_kept_with_it(
    emergency, account
):
    commission = account("office", role="commission")
    (found,) = run()
    assert (found.kind, found.state, found.person_key) == ("emergency", "open", "P1")

    unusual.review(actor=commission, finding=found, justified=True, note="核实")

    emergency.refresh_from_db()
    found.refresh_from_db()
    assert (emergency.verdict, emergency.reviewed_by, emergency.review_note) == (
        "justified", commission, "核实",
    )  # fmt: skip
    assert (found.state, found.reviewed_by) == ("justified", commission)
    entry = AuditEntry.objects.get(action="audit.review")
    assert (entry.person_key, entry.purpose, entry.detail["state"]) == (
        "P1",
        "emergency",
        "justified",
    )
    assert run() == [found]


def test_a_review_says_why_is_done_once_and_never_by_oneself(emergency, account):
    commission = account("office", role="commission")
    (found,) = run()

    with pytest.raises(NoteMissing):
        unusual.review(actor=commission, finding=found, justified=True, note="  ")
    with pytest.raises(NotPermitted):
        unusual.review(actor=emergency.user, finding=found, justified=True, note="selbst")
    unusual.review(actor=commission, finding=found, justified=False, note="无关")
    with pytest.raises(AlreadySettled):
        unusual.review(actor=commission, finding=found, justified=True, note="doch")
    assert AccessFinding.objects.get().state == "abuse"


def test_what_was_reviewed_stays_as_it_was_when_it_happens_again(hospital, person_at, account):
    person_at("P1", "Zhao^Liu=赵^六", is_staff=True)
    reader = account("reader")
    look(reader, "P1", hospital)
    (found,) = run()
    unusual.review(
        actor=account("office", role="commission"), finding=found, justified=True, note="核实"
    )

    look(reader, "P1", hospital)

    assert [(each.state, each.count) for each in run()] == [("justified", 1)]


def test_an_administrator_reviews_the_own_institution_alone(hospital, person_at, account):
    person_at("P1", "Zhao^Liu=赵^六", is_staff=True)
    look(account("reader"), "P1", hospital)
    run()
    other = Institution.objects.create(code="WEST", name="西部医院", region=hospital.region)
    elsewhere = User.objects.create_user("elsewhere")
    Membership.objects.create(
        user=elsewhere, institution=other, role="institution_admin", valid_from=DAY
    )

    counts = [
        findings.open_by_kind(scope=scope_of(user))
        for user in (
            account("admin", role="institution_admin"),
            elsewhere,
            account("o", "commission"),
        )
    ]

    assert counts == [{"staff-record": 1}, {}, {"staff-record": 1}]
