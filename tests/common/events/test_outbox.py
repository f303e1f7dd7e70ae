"""The outbox: announced with the change, delivered afterwards, in order per key, parked when poisoned."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from common import events
from common.accounts.models import User
from common.audit.models import AuditEntry
from common.events import registry, services
from common.events.models import Delivery, OutboxEvent


@dataclass(frozen=True)
class StudyMoved(events.Event):
    study_id: int
    number: int = 0
    price: Decimal | None = None
    on: date | None = None
    series: tuple[int, ...] = ()
    token: uuid.UUID | None = None


@pytest.fixture
def heard():
    return []


@pytest.fixture
def listen(heard):
    """``listen(handler)``: subscribed for this test."""
    added = []

    def add(handler=None):
        def note(event):
            heard.append(event)

        added.append(handler or note)
        events.subscribe(StudyMoved)(added[-1])
        return added[-1]

    yield add
    for handler in added:
        registry.unsubscribe(StudyMoved, handler)


def due_now():
    Delivery.objects.update(due_at=timezone.now())


@pytest.mark.django_db
def test_an_event_reaches_its_handler_as_it_was_published(listen, heard):
    listen()
    event = StudyMoved(7, 1, Decimal("12.50"), date(2026, 3, 1), (1, 2), uuid.uuid4())

    events.publish(event)
    assert services.deliver_due() is False

    assert heard == [event]
    assert heard[0].event_id == event.event_id
    assert Delivery.objects.get().state == Delivery.State.DONE


@pytest.mark.django_db(transaction=True)
def test_an_event_is_rolled_back_with_its_change(listen, heard):
    listen()

    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012  # what is rolled back
        events.publish(StudyMoved(7))
        raise RuntimeError

    assert not OutboxEvent.objects.exists()
    services.deliver_due()
    assert heard == []


@pytest.mark.django_db
def test_delivered_once_is_not_delivered_again(listen, heard):
    listen()
    events.publish(StudyMoved(7))

    services.deliver_due()
    services.deliver_due()

    assert len(heard) == 1


@pytest.mark.django_db
def test_a_failure_is_retried_later_and_its_database_work_undone(listen, heard):
    calls = []

    def fails_once(event):
        User.objects.create(username=f"made-{len(calls)}")
        calls.append(event.event_id)
        if len(calls) == 1:
            raise ValueError("patient 990101200001010014 is odd")

    listen(fails_once)
    events.publish(StudyMoved(7))
    services.deliver_due()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == (Delivery.State.PENDING, 1)
    assert delivery.due_at > timezone.now()
    assert "990***********0014 is odd" in delivery.last_error
    assert not User.objects.exists()

    due_now()
    services.deliver_due()
    assert Delivery.objects.get().state == Delivery.State.DONE
    assert calls[0] == calls[1]  # the same identifier at every attempt
    assert User.objects.get().username == "made-1"


@pytest.mark.django_db
def test_order_is_kept_per_key_and_other_keys_go_on(listen, heard):
    def stuck_at_first(event):
        if (
            event.study_id == 1
            and event.number == 1
            and Delivery.objects.get(event__event_id=event.event_id).attempts == 1
        ):
            raise ValueError
        heard.append((event.study_id, event.number))

    listen(stuck_at_first)
    for study_id, number in [(1, 1), (1, 2), (2, 1), (1, 3)]:
        events.publish(StudyMoved(study_id, number))

    services.deliver_due()
    assert heard == [(2, 1)]

    Delivery.objects.filter(state=Delivery.State.PENDING).update(due_at=timezone.now())
    services.deliver_due()
    assert heard == [(2, 1), (1, 1), (1, 2), (1, 3)]


@pytest.mark.django_db
def test_a_poisoned_event_is_parked_with_its_error_and_holds_its_key_back(listen, heard):
    def poisoned(event):
        if event.number == 1:
            raise ValueError("never")
        heard.append(event.number)

    listen(poisoned)
    events.publish(StudyMoved(7, 1))
    events.publish(StudyMoved(7, 2))
    for _ in range(services.ATTEMPTS_MOST):
        due_now()
        services.deliver_due()

    parked = Delivery.objects.get(state=Delivery.State.PARKED)
    assert parked.attempts == services.ATTEMPTS_MOST
    assert "never" in parked.last_error
    assert heard == []

    events.discard_parked(actor="operator", delivery_id=parked.pk, reason="tested")
    services.deliver_due()
    assert heard == [2]
    assert AuditEntry.objects.get().action == "event.discard"


@pytest.mark.django_db
def test_a_parked_event_can_be_tried_again(listen, heard):
    listen()
    events.publish(StudyMoved(7))
    delivery = Delivery.objects.get()
    Delivery.objects.update(state=Delivery.State.PARKED, attempts=services.ATTEMPTS_MOST)

    events.retry_parked(actor="operator", delivery_id=delivery.pk)
    services.deliver_due()

    assert len(heard) == 1
    with pytest.raises(services.NotParked):
        events.retry_parked(actor="operator", delivery_id=delivery.pk)


@pytest.mark.django_db
def test_each_handler_has_its_own_copy(listen, heard):
    def other(event):
        raise ValueError

    listen()
    listen(other)
    events.publish(StudyMoved(7))
    services.deliver_due()

    states = dict(Delivery.objects.values_list("handler", "state"))
    assert len(heard) == 1
    assert sorted(states.values()) == ["done", "pending"]


@pytest.mark.django_db
def test_a_delivery_whose_worker_was_killed_is_claimed_again_after_its_lease(listen, heard):
    listen()
    events.publish(StudyMoved(7))
    assert services.claim_next() is not None  # and the worker dies here

    assert services.claim_next() is None
    later = timezone.now() + timedelta(seconds=services.LEASE_S + 1)
    claim = services.claim_next(now=later)
    services.deliver(claim)

    assert claim.attempt == 2
    assert len(heard) == 1


@pytest.mark.django_db
def test_a_worker_that_was_overtaken_does_nothing(listen, heard):
    listen()
    events.publish(StudyMoved(7))
    late = services.claim_next()
    in_time = services.claim_next(now=timezone.now() + timedelta(seconds=services.LEASE_S + 1))

    services.deliver(in_time)
    services.deliver(late)

    assert len(heard) == 1


@pytest.mark.django_db
def test_an_event_that_kills_every_worker_is_parked(listen, heard):
    listen()
    events.publish(StudyMoved(7))
    Delivery.objects.update(attempts=services.ATTEMPTS_MOST)

    services.deliver_due()

    assert heard == []
    assert Delivery.objects.get().state == Delivery.State.PARKED


@pytest.mark.django_db
def test_a_handler_that_this_release_does_not_have_waits(listen):
    handler = listen()
    events.publish(StudyMoved(7))
    registry.unsubscribe(StudyMoved, handler)

    services.deliver_due()

    assert "no handler" in Delivery.objects.get().last_error


@pytest.mark.django_db(transaction=True)
def test_several_workers_deliver_each_event_once_and_in_order(listen):
    lock, got = threading.Lock(), []

    def note(event):
        with lock:
            got.append((event.study_id, event.number))

    listen(note)
    with transaction.atomic():
        for number in range(12):
            for study_id in range(3):
                events.publish(StudyMoved(study_id, number))

    def work():
        services.deliver_due()
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    services.deliver_due()

    assert len(got) == 36
    for study_id in range(3):
        assert [number for study, number in got if study == study_id] == list(range(12))


def test_an_event_without_a_field_to_order_by_is_refused():
    @dataclass(frozen=True)
    class NothingHappened(events.Event):
        pass

    with pytest.raises(registry.EventMisdeclared):
        _ = NothingHappened().key


def test_an_event_carries_only_plain_values():
    with pytest.raises(registry.EventMisdeclared):
        StudyMoved(7, number=object()).to_payload()


def test_fields_of_another_release_are_left_out_and_missing_ones_refused():
    kept = {"event_id": uuid.uuid4(), "occurred_at": timezone.now()}

    event = registry.event_from(StudyMoved.event_type(), {"study_id": 7, "gone": 1}, **kept)

    assert event.study_id == 7
    with pytest.raises(registry.EventMisdeclared):
        registry.event_from(StudyMoved.event_type(), {}, **kept)
    with pytest.raises(registry.EventMisdeclared):
        registry.event_from("nobody.Knows", {}, **kept)
