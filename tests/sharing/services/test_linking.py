"""Local patients become one person by identity or by a reader, and are taken apart as they were."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import Error, connection, transaction

from common import privacy
from common.audit.models import AuditEntry
from sharing.errors import (
    AlreadyOnePerson,
    IdentityMalformed,
    LaterLinkFirst,
    LinkTakenBack,
    PatientNumberMissing,
    ReasonRequired,
)
from sharing.models import LinkCandidate, LinkEvent, LocalPatient, Study
from sharing.selectors.identities import opened
from sharing.selectors.persons import resolve
from sharing.services import linking, rotation
from tests.support.archive import make_indexed_study, make_institution, make_user
from tests.support.patients import FEMALE_ID, LEAP_ID, MALE_ID, assigned, registered, tables

pytestmark = pytest.mark.django_db
UID = "1.2.826.0.1.3680043.8.498.78"
HIS = {"birth_date": date(2000, 1, 1), "sex": "M", "resident_id": MALE_ID}


@pytest.fixture
def hospitals() -> tuple[Any, Any, Any]:
    return make_institution("H1"), make_institution("H2"), make_institution("H3")


@pytest.fixture
def admin(hospitals: tuple[Any, Any, Any]) -> Any:
    return make_user("admin", "institution_admin", hospitals[0])


def study_of(hospital: Any, number: str, n: int) -> Study:
    return assigned(make_indexed_study(hospital, f"{UID}.{n}", patient_id=number))


def test_the_same_resident_id_makes_one_person_with_all_studies(hospitals):
    one, two, _ = hospitals
    first, second = study_of(one, "1", 1), study_of(two, "1", 2)

    a = registered(one, "1", **HIS)
    b = registered(two, "1", **HIS | {"resident_id": MALE_ID.lower()})

    first.refresh_from_db()
    second.refresh_from_db()
    assert a.person_id == b.person_id == first.person_id == second.person_id
    event = LinkEvent.objects.get()
    assert (event.ground, event.actor, event.patient_id) == ("resident-id", None, b.pk)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"sex": "F"}, id="another-sex"),
        pytest.param({"birth_date": date(2000, 1, 10)}, id="another-birth-date"),
    ],
)
def test_the_same_resident_id_with_contradicting_facts_is_reviewed_and_not_linked(hospitals, other):
    a = registered(hospitals[0], "1", **HIS)
    b = registered(hospitals[1], "2", **HIS | other)

    assert a.person_id != b.person_id
    candidate = LinkCandidate.objects.get()
    assert candidate.state == "open"
    assert "resident-id-same" in candidate.grounds
    assert any(ground.endswith("differs") for ground in candidate.grounds)


def test_the_insurance_code_links_and_a_document_only_with_the_same_birth_date(hospitals):
    born = {"birth_date": date(1990, 2, 3)}
    document = {"document_type": "passport", "document": "E12345678"}
    a = registered(hospitals[0], "1", insurance_code="I-77 001", **born)
    b = registered(hospitals[1], "2", insurance_code="i-77001", birth_date=None, **document)
    c = registered(hospitals[2], "3", **document, **born)
    d = registered(hospitals[2], "4", document_type="other", document="E12345678", **born)

    assert a.person_id == b.person_id
    assert c.person_id not in (a.person_id, d.person_id)
    assert LinkCandidate.objects.filter(grounds__contains=["document-same"]).count() == 1


def test_nobody_is_linked_by_name_birth_date_sex_and_phone(hospitals):
    same = {"name": "=王^芳", "phone": "13800005678", "birth_date": date(1980, 1, 1), "sex": "F"}
    a = registered(hospitals[0], "1", **same)
    b = registered(hospitals[1], "2", **same)

    assert a.person_id != b.person_id
    assert not LinkEvent.objects.exists()


def test_patients_without_any_identity_are_registered_like_others(hospitals):
    newborn = registered(hospitals[0], "B1", name="=之^子", birth_date=date(2026, 11, 1))

    assert newborn.registered_at is not None
    assert newborn.resident_id is None


def test_identities_are_encrypted_in_the_table(hospitals):
    patient = registered(hospitals[0], "1", phone="+86 138-0000-5678", **HIS)

    patient.refresh_from_db()
    stored = b"".join(
        bytes(each)
        for each in (
            patient.resident_id,
            patient.phone,
            patient.resident_id_hash,
            patient.phone_hash,
        )
    )
    assert MALE_ID.encode() not in stored
    assert b"13800005678" not in stored


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"resident_id": "990101200001010015"}, "resident_id"),
        ({"phone": "call me"}, "phone"),
        ({"sex": "male"}, "sex"),
        ({"document": "E1234", "document_type": "library"}, "document_type"),
    ],
)
def test_a_malformed_identity_is_refused_unquoted_and_nothing_is_written(hospitals, facts, field):
    with pytest.raises(IdentityMalformed) as refused:
        registered(hospitals[0], "1", **facts)

    assert refused.value.facts == {"field": field}
    assert not any(str(value) in str(refused.value) for value in facts.values())
    assert not LocalPatient.objects.exists()


def test_a_patient_is_registered_with_a_number(hospitals):
    with pytest.raises(PatientNumberMissing):
        registered(hospitals[0], " ")


def test_the_same_registration_again_changes_nothing(hospitals):
    first = registered(hospitals[0], "1", **HIS)
    before, entries = tables(), AuditEntry.objects.count()

    registered(hospitals[0], "1", **HIS)

    assert tables() == before
    assert AuditEntry.objects.count() == entries
    assert first.registered_at is not None


def test_linking_moves_every_patient_of_the_one_person_and_unlinking_restores_all(hospitals, admin):
    one, two, three = hospitals
    study_of(one, "1", 1)
    study_of(two, "2", 2)
    study_of(three, "3", 3)
    a = registered(one, "1", birth_date=date(2000, 1, 1))
    b = registered(two, "2", **HIS)
    c = registered(three, "3", **HIS)
    assert b.person_id == c.person_id
    before, former_key = tables(), b.person.key

    event = linking.link(
        actor=admin, patient=b, to_person=a.person, ground="review", reason="same face"
    )

    assert set(Study.objects.values_list("person_id", flat=True)) == {a.person_id}
    assert LinkEvent.objects.filter(leader=event).get().patient_id == c.pk
    assert resolve(former_key) == a.person
    linking.unlink(actor=admin, event=event, reason="another face after all")
    assert tables() == before
    assert resolve(former_key).key == former_key


def test_a_later_link_is_taken_back_first(hospitals, admin):
    a, b, c = (registered(each, "1") for each in hospitals)
    first = linking.link(actor=admin, patient=b, to_person=a.person, ground="review", reason="x1")
    middle = tables()
    second = linking.link(actor=admin, patient=a, to_person=c.person, ground="review", reason="x2")

    with pytest.raises(LaterLinkFirst):
        linking.unlink(actor=admin, event=first, reason="wrong")

    linking.unlink(actor=admin, event=second, reason="wrong")
    assert tables() == middle
    linking.unlink(actor=admin, event=first, reason="wrong")
    with pytest.raises(LinkTakenBack):
        linking.unlink(actor=admin, event=first, reason="wrong")
    assert len(set(LocalPatient.objects.values_list("person_id", flat=True))) == 3


def test_a_reader_gives_a_reason_and_two_that_are_one_are_not_linked(hospitals, admin):
    a, b = registered(hospitals[0], "1"), registered(hospitals[1], "2")

    with pytest.raises(ReasonRequired):
        linking.link(actor=admin, patient=b, to_person=a.person, ground="review", reason=" ")
    with pytest.raises(AlreadyOnePerson):
        linking.link(actor=admin, patient=a, to_person=a.person, ground="review", reason="same")


def test_what_a_reader_took_apart_the_machine_does_not_join_again(hospitals, admin):
    a, b = registered(hospitals[0], "1", **HIS), registered(hospitals[1], "2", **HIS)
    linking.unlink(actor=admin, event=LinkEvent.objects.get(), reason="two people, one stolen card")

    registered(hospitals[1], "2", **HIS | {"phone": "13800005678"})

    a.refresh_from_db()
    b.refresh_from_db()
    assert a.person_id != b.person_id
    assert "taken-apart" in LinkCandidate.objects.get().grounds


def test_a_corrected_resident_id_takes_the_link_back_that_it_made(hospitals):
    a, b = registered(hospitals[0], "1", **HIS), registered(hospitals[1], "2", **HIS)
    woman = {"resident_id": LEAP_ID, "birth_date": date(1980, 2, 29)}

    fixed = registered(hospitals[1], "2", **woman)

    a.refresh_from_db()
    assert a.person_id != fixed.person_id
    assert LinkEvent.objects.filter(kind="unlink").get().reason == "identity-corrected"
    assert registered(hospitals[2], "3", **woman).person_id == fixed.person_id
    assert b.pk == fixed.pk


def test_a_corrected_id_parts_also_whom_the_others_had_joined(hospitals):
    a = registered(hospitals[0], "1", **HIS)
    b = registered(hospitals[1], "2", **HIS)
    c = registered(hospitals[2], "3", **HIS)

    registered(hospitals[0], "1", resident_id=FEMALE_ID, birth_date=date(1981, 1, 1), sex="F")

    persons = [LocalPatient.objects.get(pk=each.pk).person_id for each in (a, b, c)]
    assert persons[0] not in persons[1:]


@pytest.mark.parametrize("change", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_history_is_only_added_to(hospitals, admin, change):
    a, b = registered(hospitals[0], "1"), registered(hospitals[1], "2")
    linking.link(actor=admin, patient=b, to_person=a.person, ground="review", reason="same")
    # What is still to be checked at the end of the transaction would refuse TRUNCATE by itself.
    connection.check_constraints()

    with (
        pytest.raises(Error, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format("sharing_linkevent"))


def test_decisions_are_in_the_audit_without_values(hospitals, admin):
    a, b = registered(hospitals[0], "1", **HIS), registered(hospitals[1], "2")
    linking.link(actor=admin, patient=b, to_person=a.person, ground="review", reason="same")

    entries = AuditEntry.objects.filter(action__in=["person.link", "patient.register"])
    texts = " ".join(str(each.detail) for each in entries)
    assert MALE_ID not in texts
    assert entries.filter(action="person.link", detail__person=a.person.key).count() == 1


def test_identities_are_encrypted_anew_when_the_key_changes_and_found_as_before(
    hospitals, settings
):
    patient = registered(hospitals[0], "1", phone="13800005678", **HIS)
    settings.FIELD_KEYS = ["another-key-another-key-another-key-1", *settings.FIELD_KEYS]

    assert privacy.rotate_announced()["patients"] == 2

    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    patient.refresh_from_db()
    assert opened("resident_id", patient.resident_id) == MALE_ID
    assert opened("phone", patient.phone) == "13800005678"
    assert rotation.rotate_identities() == 0
