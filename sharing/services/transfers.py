"""The life of a transfer: asked for, handed out, claimed by lease and generation, finished or tried again.

The row is the truth; a message only wakes a worker. Every change after the claim is conditional on the
generation, so that a worker that lost its lease can no longer change anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Least
from django.utils import timezone

from common import audit
from common.audit.services import Actor
from common.errors import DomainError, Kind
from hospitals import selectors as hospitals
from hospitals.domain.policy import PullPolicy
from sharing.domain.planning import Waiting, choose, retry_delay_s
from sharing.errors import HospitalAtCap, HospitalAway, LeaseLost, NotRetryable
from sharing.models import Study, Transfer

MAX_ATTEMPTS = 8
WAITING_LOOKED_AT = 32  # per lane and institution, each time work is handed out
_PLANNER_LOCK = 0x706C616E  # advisory lock: one planner at a time hands out


@dataclass(frozen=True)
class Claim:
    """The right of one worker to one transfer, until the lease ends or another generation begins."""

    transfer_id: int
    generation: int
    series_id: int
    study_id: int
    institution_id: int
    study_instance_uid: str
    series_instance_uid: str
    again: bool
    attempts: int


@transaction.atomic
def request_transfers(
    *,
    series_ids: Iterable[int],
    institution_id: int,
    lane: Transfer.Lane,
    asked_by: str = "",
    again: bool = False,
) -> int:
    """Queue the copy of series. One already open is moved to the faster lane and not queued twice.

    Returns the number newly queued.
    """
    ids = list(series_ids)
    now = timezone.now()
    open_ = Transfer.objects.filter(series_id__in=ids, state__in=Transfer.OPEN)
    open_.filter(state=Transfer.State.WAITING).update(
        lane=Least(F("lane"), int(lane)), not_before=Least(F("not_before"), now)
    )
    if again:
        open_.filter(state=Transfer.State.WAITING).update(again=True)
    taken = set(open_.values_list("series_id", flat=True))
    fresh = [
        Transfer(
            series_id=series_id,
            institution_id=institution_id,
            lane=lane,
            again=again,
            asked_at=now,
            asked_by=asked_by,
            not_before=now,
        )
        for series_id in ids
        if series_id not in taken
    ]
    Transfer.objects.bulk_create(fresh, ignore_conflicts=True)
    return len(fresh)


def lease() -> timedelta:
    """How long a claim holds without being renewed."""
    return timedelta(seconds=settings.PULL_LEASE_S)


def release_lost() -> int:
    """Give back what no living worker holds: the lease ended without a word. Returns how many."""
    now = timezone.now()
    lost = Transfer.objects.filter(lease_until__lt=now)
    handed = lost.filter(state=Transfer.State.HANDED).update(
        state=Transfer.State.WAITING, lease_until=None, not_before=now
    )
    running = lost.filter(state=Transfer.State.RUNNING)
    # A series that kills its worker each time may not do so for ever.
    given_up = running.filter(attempts__gte=MAX_ATTEMPTS).update(
        state=Transfer.State.FAILED,
        lease_until=None,
        finished_at=now,
        generation=F("generation") + 1,
        error_code="worker-lost",
        error_text="The worker stopped without a word at every try.",
    )
    again = running.update(
        state=Transfer.State.WAITING,
        lease_until=None,
        not_before=now,
        generation=F("generation") + 1,
        error_code="worker-lost",
        error_text="The worker stopped without a word; the series is pulled again.",
    )
    return handed + again + given_up


@transaction.atomic
def hand_out(*, slots: int, institution_id: int | None = None) -> list[int]:
    """Mark waiting transfers as handed to workers, fairly, and return their ids.

    Lanes in order, institutions in turn, within each institution's concurrency cap; nothing of an
    institution that is not active or has an open circuit; in its quiet hours only what is asked on demand.
    """
    if slots <= 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_PLANNER_LOCK])
    policies = [
        policy
        for policy in hospitals.list_pullable()
        if institution_id in (None, policy.institution_id)
    ]
    free = _free_places(policies)
    turn = random.randrange(2**16)  # noqa: S311 - fairness, not secrecy
    chosen = choose(_waiting(policies, free), free=free, slots=slots, turn=turn)
    Transfer.objects.filter(pk__in=chosen).update(
        state=Transfer.State.HANDED, lease_until=timezone.now() + 2 * lease()
    )
    return chosen


def open_places(*, total: int) -> int:
    """How many more transfers the workers can take, of ``total`` places."""
    busy = Transfer.objects.filter(state__in=[Transfer.State.HANDED, Transfer.State.RUNNING])
    return max(0, total - busy.count())


def _free_places(policies: Sequence[PullPolicy]) -> dict[int, int]:
    now = timezone.now()
    busy = (
        Transfer.objects.filter(state__in=[Transfer.State.HANDED, Transfer.State.RUNNING])
        .values("institution_id")
        .annotate(n=Count("pk"))
    )
    taken = {row["institution_id"]: row["n"] for row in busy}
    return {
        policy.institution_id: policy.slots(now) - taken.get(policy.institution_id, 0)
        for policy in policies
    }


def _waiting(policies: Sequence[PullPolicy], free: Mapping[int, int]) -> list[Waiting]:
    now = timezone.now()
    local = timezone.localtime(now)
    due = Transfer.objects.filter(state=Transfer.State.WAITING, not_before__lte=now)
    found = []
    for policy in policies:
        if free[policy.institution_id] <= 0:
            continue
        lanes = [Transfer.Lane.ON_DEMAND] if policy.is_quiet(local) else list(Transfer.Lane)
        for lane in lanes:
            rows = due.filter(institution_id=policy.institution_id, lane=lane)
            ids = tuple(
                rows.order_by("not_before", "pk").values_list("pk", flat=True)[:WAITING_LOOKED_AT]
            )
            if ids:
                found.append(Waiting(policy.institution_id, int(lane), ids))
    return found


@transaction.atomic
def claim(*, transfer_id: int, worker: str) -> Claim | None:
    """Take a transfer; None when somebody else has it or it is finished. A second delivery does nothing."""
    now = timezone.now()
    transfer = (
        Transfer.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
        .select_related("series__study")
        .filter(pk=transfer_id)
        .filter(
            Q(state__in=[Transfer.State.WAITING, Transfer.State.HANDED])
            | Q(state=Transfer.State.RUNNING, lease_until__lt=now)
        )
        .first()
    )
    if transfer is None:
        return None
    transfer.state = Transfer.State.RUNNING
    transfer.generation += 1
    transfer.attempts += 1
    transfer.worker = worker
    transfer.lease_until = now + lease()
    transfer.started_at = now
    transfer.received_instances = transfer.received_bytes = 0
    transfer.save()
    study = transfer.series.study
    if study.state == Study.State.INDEXED:
        Study.objects.filter(pk=study.pk, state=Study.State.INDEXED).update(
            state=Study.State.PULLING
        )
    return Claim(
        transfer_id=transfer.pk,
        generation=transfer.generation,
        series_id=transfer.series_id,
        study_id=study.pk,
        institution_id=transfer.institution_id,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=transfer.series.series_instance_uid,
        again=transfer.again,
        attempts=transfer.attempts,
    )


@transaction.atomic
def claim_on_demand(*, transfer_id: int, institution_id: int, worker: str) -> Claim | None:
    """Take a transfer for somebody who waits, within the institution's cap; None when another has it.

    One that is handed out counts already: whoever claims it first has its place. Quiet hours do not hold
    on demand; the circuit and the cap do.

    Raises:
        HospitalAway: it is left alone after failures, or not active.
        HospitalAtCap: all its places are taken.
    """
    waiting = Transfer.objects.filter(pk=transfer_id, state=Transfer.State.WAITING)
    if waiting.exists():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_PLANNER_LOCK])
        if waiting.exists():
            _require_place(institution_id)
    return claim(transfer_id=transfer_id, worker=worker)


def _require_place(institution_id: int) -> None:
    policy = hospitals.pull_policy(institution_id=institution_id)
    now = timezone.now()
    if policy.slots(now) == 0:
        raise HospitalAway(retry_after_s=left_alone_s(policy, now))
    if _free_places([policy])[institution_id] <= 0:
        raise HospitalAtCap


def left_alone_s(policy: PullPolicy, now: datetime) -> float:
    """For how long a hospital that may not be asked is left alone; between 5 s and 5 minutes."""
    if policy.open_until is None or policy.open_until <= now:
        return 60.0
    return min(max((policy.open_until - now).total_seconds(), 5.0), 300.0)


def renew(held: Claim, *, instances: int, size_bytes: int, expected: int | None) -> None:
    """Prolong the lease and show the progress.

    Raises:
        LeaseLost: another generation has begun.
    """
    _update(
        held,
        lease_until=timezone.now() + lease(),
        received_instances=instances,
        received_bytes=size_bytes,
        expected_instances=expected,
    )


def require_held(held: Claim) -> None:
    """Lock the transfer's row for this transaction, if it is still ours.

    Raises:
        LeaseLost: another generation has begun.
    """
    row = Transfer.objects.select_for_update(no_key=True).filter(
        pk=held.transfer_id, generation=held.generation, state=Transfer.State.RUNNING
    )
    if not row.exists():
        raise LeaseLost


def finish(held: Claim, *, instances: int, size_bytes: int, quarantined: int) -> None:
    """The series is in the archive and proved."""
    _update(
        held,
        state=Transfer.State.DONE,
        lease_until=None,
        finished_at=timezone.now(),
        received_instances=instances,
        received_bytes=size_bytes,
        quarantined=quarantined,
        error_code="",
        error_text="",
    )


def put_back(
    held: Claim, *, error: DomainError, retryable: bool, quarantined: int = 0
) -> datetime | None:
    """The try failed: wait with growing, jittered delay, or give up. Returns when it is tried again."""
    attempts = Transfer.objects.filter(pk=held.transfer_id).values_list("attempts", flat=True).get()
    # Our own store or disk being away is not the series' fault: it is tried for as long as that lasts.
    ours = error.kind is Kind.UNAVAILABLE
    again = retryable and (ours or attempts < MAX_ATTEMPTS)
    delay = retry_delay_s(attempts=attempts, jitter=random.random())  # noqa: S311 - spread, not secrecy
    asked = getattr(error, "retry_after_s", None)
    if isinstance(asked, (int, float)):
        delay = max(delay, min(float(asked), 3600.0))
    now = timezone.now()
    not_before = now + timedelta(seconds=delay)
    _update(
        held,
        state=Transfer.State.WAITING if again else Transfer.State.FAILED,
        lease_until=None,
        not_before=not_before,
        finished_at=None if again else now,
        quarantined=quarantined,
        error_code=error.code[:64],
        error_text=error.message[:500],
    )
    return not_before if again else None


@transaction.atomic
def retry_transfer(*, actor: Actor, transfer_id: int) -> None:
    """Ask again for a series whose transfer failed or waits for its next try.

    Raises:
        NotRetryable: it is running or done, or a newer transfer of the series is open.
    """
    changed = Transfer.objects.filter(pk=transfer_id, state=Transfer.State.WAITING).update(
        not_before=timezone.now()
    )
    if not changed:
        failed = Transfer.objects.select_for_update().filter(
            pk=transfer_id, state=Transfer.State.FAILED
        )
        transfer = failed.first()
        if transfer is None:
            raise NotRetryable
        newer = Transfer.objects.filter(series_id=transfer.series_id, state__in=Transfer.OPEN)
        if newer.exists():
            raise NotRetryable
        failed.update(
            state=Transfer.State.WAITING, attempts=0, not_before=timezone.now(), finished_at=None
        )
    audit.record(actor, "transfer.retry", object_type="transfer", object_id=str(transfer_id))


def _update(held: Claim, **values: object) -> None:
    changed = Transfer.objects.filter(
        pk=held.transfer_id, generation=held.generation, state=Transfer.State.RUNNING
    ).update(**values)
    if not changed:
        raise LeaseLost
