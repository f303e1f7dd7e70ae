"""Writing the trail."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import InternalError, connection, transaction
from django.db.utils import DatabaseError
from django.utils import timezone

from common import audit, request_context
from common.audit import directory, sequencer
from common.audit import services as audit_services
from common.audit.models import AuditEntry, ChainLink, DailyAnchor, RepeatedAccess

UID = "1.2.840.10008.1"


def test_an_entry_says_who_what_where_and_from_which_request(actor):
    request_context.begin(request_id="request-0001", address="192.0.2.7")

    audit.record(actor, "study.view", object_type="sharing.study", object_id=7, study_instance_uid=UID,
                 institution_id=3, basis="own-institution", purpose="treatment", detail={"frames": 2})  # fmt: skip
    request_context.end()

    entry = AuditEntry.objects.get()
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("user", actor.pk, "radiologist")
    assert (entry.object_type, entry.object_id, entry.institution_id) == ("sharing.study", "7", 3)
    assert (entry.basis, entry.purpose, entry.result) == ("own-institution", "treatment", "success")
    assert (entry.address, entry.request_id) == ("192.0.2.7", "request-0001")
    assert (entry.study_instance_uid, entry.count, entry.detail) == (UID, 1, {"frames": 2})


def test_type_and_number_come_from_the_object(actor):
    assert audit.record(actor, "account.open", actor).object_type == "accounts.user"
    assert audit.record(actor, "account.open", obj=actor).object_id == str(actor.pk)


@pytest.mark.parametrize(
    ("who", "kind", "name"),
    [("planner", "system", "planner"), (None, "anonymous", ""), (AnonymousUser(), "anonymous", "")],
)
def test_systems_and_strangers_are_recorded_as_such(db, who, kind, name):
    entry = audit.record(who, "archive.sweep")

    assert (entry.actor_kind, entry.actor_name, entry.actor_id) == (kind, name, None)


def test_the_institution_of_the_person_is_copied(actor, monkeypatch):
    class Directory:
        def institution_of(self, *, user_id, institution_id=None):
            return audit.InstitutionNames(code="H1", name=f"Hospital of {user_id}")

    monkeypatch.setattr(directory, "_directory", Directory())

    entry = audit.record(actor, "login")

    assert (entry.actor_institution_code, entry.actor_institution_name) == (
        "H1",
        f"Hospital of {actor.pk}",
    )


def test_an_odd_identifier_does_not_keep_the_entry_from_being_written(db):
    entry = audit.record("x" * 300, "a\x00b", object_id="9" * 500)

    entry.refresh_from_db()
    assert (len(entry.actor_name), entry.action, len(entry.object_id)) == (200, "ab", 128)


def test_a_detail_over_8_kib_is_refused(db):
    with pytest.raises(audit_services.DetailTooLarge):
        audit.record("planner", "x", detail={"text": "医" * 3000})


def test_what_is_rolled_back_leaves_no_entry(actor):
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012  # what is rolled back
        audit.record(actor, "transfer.request")
        raise RuntimeError

    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("table", ["audit_auditentry", "audit_chainlink", "audit_dailyanchor"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"]
)
def test_the_database_itself_refuses_to_change_the_trail(actor, table, statement):
    audit.record(actor, "login")
    sequencer.chain_all()
    DailyAnchor.objects.create(day=timezone.localdate(), sequence=1, hash=bytes(32))
    column = {"audit_auditentry": "action", "audit_chainlink": "hash", "audit_dailyanchor": "hash"}[
        table
    ]
    before = [AuditEntry.objects.count(), ChainLink.objects.count(), DailyAnchor.objects.count()]

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with (
            pytest.raises((DatabaseError, InternalError), match="append-only"),
            transaction.atomic(),
        ):
            cursor.execute(statement.format(table, column))

    after = [AuditEntry.objects.count(), ChainLink.objects.count(), DailyAnchor.objects.count()]
    assert before == after == [1, 1, 1]


@pytest.fixture
def counts(monkeypatch):
    fresh = audit_services._Counts()
    monkeypatch.setattr(audit_services, "counts", fresh)
    return fresh


def view(actor, uid=UID, purpose="treatment"):
    audit.record_view(actor, "study.view", object_type="sharing.study", object_id=uid,
                      study_instance_uid=uid, purpose=purpose)  # fmt: skip


def test_repeated_reads_become_one_entry_with_a_count(actor, counts):
    for _ in range(300):
        view(actor)
    view(actor, purpose="teaching")
    counts.carry_over_all()

    assert sequencer.write_repeated(now=timezone.now()) == 0  # still being read
    assert sequencer.write_repeated(now=timezone.now() + sequencer._PAUSE) == 2

    assert sorted(AuditEntry.objects.values_list("purpose", "count")) == [
        ("teaching", 1),
        ("treatment", 300),
    ]
    assert not RepeatedAccess.objects.exists()


def test_the_first_read_is_in_the_database_at_once_and_the_rest_costs_no_query(
    actor, counts, django_assert_num_queries
):
    view(actor)

    assert RepeatedAccess.objects.get().count == 1
    with django_assert_num_queries(0):
        view(actor)


def test_a_waiting_count_is_carried_over_by_the_next_read_of_anything(actor, counts, monkeypatch):
    for _ in range(5):
        view(actor)
    monkeypatch.setattr(audit_services, "COUNTED_IN_PROCESS_S", 0.0)

    view(actor, uid="1.2.3")

    assert RepeatedAccess.objects.get(values__object_id=UID).count == 5


def test_a_reading_that_goes_on_is_told_every_ten_minutes(actor, counts):
    view(actor)
    RepeatedAccess.objects.update(first_at=timezone.now() - sequencer._LONGEST)

    assert sequencer.write_repeated() == 1


def test_a_count_that_waits_is_carried_over_after_any_request(actor, client, monkeypatch):
    for _ in range(4):
        view(actor)
    monkeypatch.setattr(audit_services, "COUNTED_IN_PROCESS_S", 0.0)

    client.get("/healthz")

    assert RepeatedAccess.objects.get().count == 4
