"""Who may be one person is put into a queue with a score, and decided by a reader."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sharing.domain.likeness import Ground, Traits, compare
from sharing.errors import CandidateDecided, ReasonRequired
from sharing.models import LinkCandidate, LinkEvent, LocalPatient
from sharing.services import candidates
from tests.support.archive import make_institution, make_user
from tests.support.patients import LEAP_ID, registered

pytestmark = pytest.mark.django_db
BORN = date(1980, 5, 6)


@pytest.fixture
def hospitals() -> tuple[Any, Any]:
    return make_institution("H1"), make_institution("H2")


@pytest.mark.parametrize(
    ("one", "other", "queued"),
    [
        ({"name": "=张^三"}, {"name": "Zhang^San"}, True),
        (
            {"name": "=张^三", "phone": "13800005678"},
            {"name": "=张^三", "phone": "13800005678"},
            True,
        ),
        ({"name": "=张^三"}, {"name": "=李^四"}, False),
        ({"name": "=张^三", "birth_date": None}, {"name": "=张^三", "birth_date": None}, False),
        ({"name": "=张^三", "sex": "M"}, {"name": "=张^三", "sex": "F"}, False),
        ({"name": "=张^三"}, {"name": "=张^三", "birth_date": date(1981, 5, 6)}, False),
        (
            {"name": "=张^三"},
            {"name": "=张^三", "resident_id": LEAP_ID, "sex": "M"},
            True,
        ),
    ],
    ids=[
        "pinyin",
        "name-and-phone",
        "another-name",
        "name-alone",
        "another-sex",
        "another-day",
        "one-has-an-id",
    ],
)
def test_what_is_worth_a_readers_look(hospitals, one, other, queued):
    registered(hospitals[0], "1", **{"birth_date": BORN} | one)
    registered(hospitals[1], "2", **{"birth_date": BORN} | other)

    candidates.compare_due()

    assert LinkCandidate.objects.exists() is queued
    assert not LinkEvent.objects.exists()
    assert not LocalPatient.objects.filter(compared_at=None).exists()


def test_two_resident_ids_are_two_persons():
    same = {"institution_id": 1, "name": "=张^三", "birth_date": BORN, "sex": "M", "phone": b"1"}

    found = compare(Traits(resident_id=b"a", **same), Traits(resident_id=b"b", **same))

    assert found.score == 0
    assert Ground.RESIDENT_ID_DIFFERS in found.grounds


def test_the_same_number_of_another_issuer_in_one_hospital_is_looked_at(hospitals):
    from sharing.domain.identities import PatientFacts
    from sharing.services.patients import register_patient

    registered(hospitals[0], "1", name="=张^三")
    register_patient(
        actor="his", institution_id=hospitals[0].pk, issuer="ED", number="1",
        facts=PatientFacts(name="=张^三"),
    )  # fmt: skip

    candidates.compare_due()

    assert "number-same" in LinkCandidate.objects.get().grounds


def test_a_reader_links_or_rejects_once_with_a_reason(hospitals):
    reader = make_user("admin", "institution_admin", hospitals[0])
    a = registered(hospitals[0], "1", name="=张^三")
    b = registered(hospitals[1], "2", name="=张^三")
    candidates.compare_due()
    pair = LinkCandidate.objects.get()

    with pytest.raises(ReasonRequired):
        candidates.decide(actor=reader, candidate=pair, link=True, reason="")
    candidates.decide(actor=reader, candidate=pair, link=True, reason="same passport seen")

    pair.refresh_from_db()
    assert (pair.state, pair.decided_by, pair.reason) == ("linked", reader, "same passport seen")
    assert (
        LocalPatient.objects.get(pk=a.pk).person_id == LocalPatient.objects.get(pk=b.pk).person_id
    )
    with pytest.raises(CandidateDecided):
        candidates.decide(actor=reader, candidate=pair, link=False, reason="no")


def test_what_was_rejected_is_not_asked_again(hospitals):
    reader = make_user("admin", "institution_admin", hospitals[0])
    registered(hospitals[0], "1", name="=张^三")
    registered(hospitals[1], "2", name="=张^三")
    candidates.compare_due()
    candidates.decide(
        actor=reader, candidate=LinkCandidate.objects.get(), link=False, reason="twins"
    )

    registered(hospitals[1], "2", name="=张^三", phone="13800005678")
    candidates.compare_due()

    assert LinkCandidate.objects.get().state == "rejected"
