"""The outbox: announce with the change itself, deliver afterwards, at least once, in order per key."""

from __future__ import annotations

import random
import time
import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from common import audit, logs, metrics, request_context
from common.errors import Kind, NotFound
from common.events.jobs import DELIVER
from common.events.models import Delivery, OutboxEvent
from common.events.registry import Event, event_from, handlers_of

log = logs.get_logger(__name__)

ATTEMPTS_MOST = 8
LEASE_S = 900  # over the job's hard limit: a delivery that runs is not claimed again
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 900.0
_TURN_S = 240.0


class NotParked(NotFound):
    """There is no parked delivery with this number."""

    code = "not-parked"
    kind = Kind.NOT_FOUND


@transaction.atomic
def publish(event: Event) -> None:
    """Announce an event in the caller's transaction: rolled back with it, delivered after its commit.

    Order is that of commits that exclude each other, that is, of transactions that hold the lock of the key's row.
    """
    stored = OutboxEvent.objects.create(
        event_id=event.event_id,
        type=event.event_type(),
        key=event.key,
        payload=event.to_payload(),
        occurred_at=event.occurred_at,
        request_id=request_context.current().request_id,
    )
    names = handlers_of(stored.type)
    Delivery.objects.bulk_create(
        Delivery(event=stored, handler=name, key=stored.key) for name in names
    )
    if names:
        DELIVER.enqueue()


@dataclass(frozen=True)
class Claim:
    """A delivery that this worker may try, once."""

    delivery_id: int
    attempt: int


def deliver_due(*, turn_s: float = _TURN_S) -> bool:
    """Deliver what is due, until nothing is left (False) or the turn is over (True)."""
    ends = time.monotonic() + turn_s
    while time.monotonic() < ends:
        claim = claim_next()
        if claim is None:
            return False
        deliver(claim)
    return True


_CLAIM = """
UPDATE events_delivery SET attempts = attempts + 1, due_at = %(lease_ends)s
WHERE id = (
    SELECT d.id FROM events_delivery d
    WHERE d.state = 'pending' AND d.due_at <= %(now)s
      AND NOT EXISTS (
        SELECT 1 FROM events_delivery e
        WHERE e.handler = d.handler AND e.key = d.key AND e.id < d.id
          AND e.state IN ('pending', 'parked'))
    ORDER BY d.id LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id, attempts
"""


def claim_next(*, now: datetime | None = None) -> Claim | None:
    """Take the oldest due delivery that nothing earlier of its key holds back.

    The attempt is counted before it begins: an event that kills its worker is parked too.
    """
    now = now or timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"now": now, "lease_ends": now + timedelta(seconds=LEASE_S)})
        row = cursor.fetchone()
    return None if row is None else Claim(*row)


def deliver(claim: Claim) -> None:
    """Try one claimed delivery: handled, put off, or parked after the last attempt."""
    if claim.attempt > ATTEMPTS_MOST:
        _park(claim, "the worker was lost at every attempt")
        return
    delivery = Delivery.objects.select_related("event").get(pk=claim.delivery_id)
    request_context.begin(request_id=delivery.event.request_id)
    try:
        outcome = _handle(claim, delivery)
    except Exception as error:  # noqa: BLE001  # a handler may fail in any way; it must not stop the others
        outcome = _put_off(claim, delivery, error)
    metrics.EVENTS.labels(delivery.handler, outcome).inc()


@transaction.atomic
def _handle(claim: Claim, delivery: Delivery) -> str:
    mine = Delivery.objects.select_for_update(no_key=True).filter(
        pk=claim.delivery_id, attempts=claim.attempt, state=Delivery.State.PENDING
    )
    if not mine.exists():
        return "overtaken"  # our lease had ended and another worker has it
    handler = handlers_of(delivery.event.type).get(delivery.handler)
    if handler is None:
        raise LookupError(f"no handler {delivery.handler} in this release")
    event = event_from(
        delivery.event.type,
        delivery.event.payload,
        event_id=delivery.event.event_id,
        occurred_at=delivery.event.occurred_at,
    )
    handler(event)
    mine.update(state=Delivery.State.DONE, done_at=timezone.now(), last_error="")
    return "done"


def _put_off(claim: Claim, delivery: Delivery, error: Exception) -> str:
    text = logs.without_patient_data("".join(traceback.format_exception(error))[-4000:])
    log.warning(
        "event.handler_failed",
        handler=delivery.handler,
        event_id=str(delivery.event.event_id),
        attempt=claim.attempt,
        exc_info=error,
    )
    if claim.attempt >= ATTEMPTS_MOST:
        _park(claim, text)
        return "parked"
    wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (claim.attempt - 1))
    wait *= random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries, guards nothing
    Delivery.objects.filter(pk=claim.delivery_id, attempts=claim.attempt).update(
        due_at=timezone.now() + timedelta(seconds=wait), last_error=text
    )
    return "put-off"


def _park(claim: Claim, text: str) -> None:
    Delivery.objects.filter(
        pk=claim.delivery_id, attempts=claim.attempt, state=Delivery.State.PENDING
    ).update(state=Delivery.State.PARKED, last_error=text)
    log.error("event.parked", delivery_id=claim.delivery_id)


@transaction.atomic
def retry_parked(*, actor: audit.services.Actor, delivery_id: int) -> None:
    """Give a parked delivery all its attempts again, at once.

    Raises:
        NotParked: it is not parked (any more).
    """
    _leave_parking(delivery_id, state=Delivery.State.PENDING, attempts=0, due_at=timezone.now())
    audit.record(actor, "event.retry", object_type="events.delivery", object_id=delivery_id)
    DELIVER.enqueue()


@transaction.atomic
def discard_parked(*, actor: audit.services.Actor, delivery_id: int, reason: str) -> None:
    """Give a parked delivery up, for a reason; later events of its key go on.

    Raises:
        NotParked: it is not parked (any more).
    """
    _leave_parking(delivery_id, state=Delivery.State.DISCARDED)
    audit.record(
        actor,
        "event.discard",
        object_type="events.delivery",
        object_id=delivery_id,
        detail={"reason": reason},
    )
    DELIVER.enqueue()


def _leave_parking(delivery_id: int, **values: object) -> None:
    changed = Delivery.objects.filter(pk=delivery_id, state=Delivery.State.PARKED).update(**values)
    if not changed:
        raise NotParked
