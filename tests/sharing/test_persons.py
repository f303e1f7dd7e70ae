"""Persons are found by identity anywhere, by anything looser within sight, and shown masked."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.core.cache import cache

from common.audit.models import AuditEntry
from common.errors import NotFound
from sharing.errors import IdentityMalformed, ReasonRequired, SearchTooLoose, TooManyQuestions
from sharing.permissions import forget_sights
from sharing.selectors import asking_rate
from sharing.selectors.identities import masked_identity
from sharing.selectors.person_question import PersonSearch
from sharing.selectors.persons import (
    find_persons,
    get_person,
    get_person_row,
    person_patients,
    person_studies,
)
from sharing.services.patients import unmask
from tests.support.archive import make_indexed_study, make_institution, make_user
from tests.support.patients import MALE_ID, assigned, registered

pytestmark = pytest.mark.django_db
UID = "1.2.826.0.1.3680043.8.498.79"
ZHANG = {"name": "Zhang^San=张^三", "birth_date": date(2000, 1, 1), "sex": "M"}


class Town:
    """A hospital of the reader, and one beyond its sight where 张三 was examined three times."""

    def __init__(self) -> None:
        self.near, self.far = make_institution("NEAR"), make_institution("FAR")
        self.reader = make_user("reader", "radiologist", self.near)
        self.desk = make_user("desk", "institution_admin", self.near)
        self.there = registered(
            self.far, "77", resident_id=MALE_ID, phone="13800005678", card="token-1", **ZHANG
        )
        for n in range(3):
            assigned(
                make_indexed_study(
                    self.far, f"{UID}.{n}", patient_id="77", study_date=date(2026, 1, 1 + n),
                    modalities=["CT" if n else "MR"], study_description="secret", accession_number=f"F{n}",
                )
            )  # fmt: skip
        self.here = registered(
            self.near, "5", phone="13900001111", **ZHANG | {"birth_date": date(1999, 1, 1)}
        )
        assigned(
            make_indexed_study(
                self.near, f"{UID}.9", patient_id="5", study_date=date(2025, 5, 5), patient_sex="M",
                modalities=["DX"], accession_number="N9", study_description="胸部正位",
            )
        )  # fmt: skip


@pytest.fixture
def town() -> Any:
    forget_sights()
    yield Town()
    forget_sights()


@pytest.mark.parametrize(
    "identity",
    [
        {"resident_id": MALE_ID},
        {"card": "token-1"},
        {"number": "77", "institution_code": "FAR"},
    ],
)
def test_by_an_exact_identity_a_reader_learns_that_there_are_examinations_and_no_more(
    town, identity
):
    (row,) = find_persons(actor=town.reader, search=PersonSearch(**identity)).rows

    assert (row.in_sight, row.count, row.total, row.hidden) == (False, 0, 3, 3)
    assert row.institution_ids == (town.far.pk,)
    assert (row.first, row.last) == (date(2026, 1, 1), date(2026, 1, 3))
    assert row.modalities == ("CT", "MR")
    assert not person_studies(actor=town.reader, person=row.person).exists()
    assert person_patients(actor=town.reader, person=row.person) == []
    assert get_person(actor=town.reader, key=row.person.key) == row.person
    assert get_person_row(actor=town.reader, person=row.person).total == 3


def test_a_key_alone_opens_nothing(town):
    with pytest.raises(NotFound):
        get_person(actor=town.reader, key=town.there.person.key)


@pytest.mark.parametrize(
    "loose",
    [
        {"phone": "138 0000 5678"},
        {"number": "77"},
        {"name": "zhangsan", "birth_date": date(2000, 1, 1)},
        {"accession_number": "F1"},
        {"since": date(2026, 1, 1), "modality": "CT"},
    ],
)
def test_anything_looser_stays_within_sight(town, loose):
    assert find_persons(actor=town.reader, search=PersonSearch(**loose)).rows == ()


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "张三"},
        {"name": "zs", "sex": "M"},
        {"name": "zhangsan", "birth_date": date(1999, 1, 1)},
        {"phone": "13900001111"},
        {"number": "5"},
        {"accession_number": "N9"},
        {"modality": "DX", "since": date(2025, 1, 1), "until": date(2025, 12, 31)},
        {"body_part": "chest", "institution_code": "NEAR"},
        {"name": "张", "modality": "DX"},
    ],
)
def test_within_sight_patients_are_found_in_every_way(town, asked):
    (row,) = find_persons(actor=town.reader, search=PersonSearch(**asked)).rows

    assert (row.person, row.in_sight, row.count) == (town.here.person, True, 1)
    assert row.patient == town.here


@pytest.mark.parametrize("role", ["institution_admin", "integrator", "commission", "auditor"])
def test_only_those_who_treat_find_beyond_their_sight(town, role):
    other = make_user(f"a-{role}", role, None if role in ("commission", "auditor") else town.near)

    assert find_persons(actor=other, search=PersonSearch(resident_id=MALE_ID)).rows == ()


def test_a_patient_who_is_only_registered_is_found_where_it_is_registered(town):
    new = registered(town.near, "99", name="=李^四", phone="13711112222")

    (row,) = find_persons(actor=town.desk, search=PersonSearch(phone="13711112222")).rows

    assert (row.person, row.in_sight, row.total) == (new.person, True, 0)


def test_a_question_about_nobody_is_refused_and_a_resident_id_is_checked(town):
    with pytest.raises(SearchTooLoose):
        find_persons(actor=town.reader, search=PersonSearch(sex="M"))
    with pytest.raises(IdentityMalformed):
        find_persons(actor=town.reader, search=PersonSearch(resident_id="990101200001010015"))


def test_a_search_is_audited_without_what_was_typed(town):
    find_persons(actor=town.reader, search=PersonSearch(resident_id=MALE_ID, name="张三"))

    entry = AuditEntry.objects.get(action="person.search")
    assert entry.detail == {"asked": ["resident_id", "name"], "found": 1, "page": 1}
    assert entry.person_key == town.there.person.key


def test_an_institution_that_left_is_not_told_of(town):
    town.far.state, town.far.state_reason = "left", "merged"
    town.far.save()

    (row,) = find_persons(actor=town.reader, search=PersonSearch(resident_id=MALE_ID)).rows

    assert (row.total, row.institution_ids) == (0, ())


def test_identities_are_masked_as_policy_p5_says(town):
    shown = masked_identity(town.there)

    assert (shown.name, shown.resident_id, shown.phone) == (
        "张*", "990***********0014", "138****5678"
    )  # fmt: skip
    assert (shown.birth_year, shown.has_card) == (2000, True)


def test_an_identity_in_full_needs_sight_and_a_reason_which_is_kept(town):
    assert (
        unmask(actor=town.reader, patient=town.here, field="phone", reason="call back")
        == "13900001111"
    )
    assert unmask(actor=town.reader, patient=town.here, field="name", reason="identify") == "张三"
    entry = AuditEntry.objects.filter(action="patient.unmask").order_by("pk").first()
    assert entry.detail == {"field": "phone", "reason": "call back"}
    assert entry.basis == "own-institution"

    with pytest.raises(ReasonRequired):
        unmask(actor=town.reader, patient=town.here, field="phone", reason=" ")
    with pytest.raises(NotFound):
        unmask(actor=town.reader, patient=town.there, field="phone", reason="curious")


def test_who_tries_number_after_number_is_stopped_and_noted(town: Town, monkeypatch: Any) -> None:
    monkeypatch.setattr(asking_rate, "CEILINGS", ((3, 600),))
    cache.clear()
    for number in ("75", "76", "78"):
        find_persons(actor=town.reader, search=PersonSearch(number=number, institution_code="FAR"))

    with pytest.raises(TooManyQuestions):
        find_persons(actor=town.reader, search=PersonSearch(number="77", institution_code="FAR"))

    assert AuditEntry.objects.filter(action="person.search", result="refused").count() == 1
    # What is within sight is asked for as before, and so is everything by others.
    assert find_persons(actor=town.reader, search=PersonSearch(phone="13900001111")).count == 1
    other = make_user("other-reader", "radiologist", town.near)
    assert find_persons(actor=other, search=PersonSearch(resident_id=MALE_ID)).count == 1
