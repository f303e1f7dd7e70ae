"""One asked-for pull of a hospital, from discovery to the last series, in this process.

It takes its work the same way as the workers do (by claim and lease), so both can run side by side, and it
needs neither a worker nor the broker.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime

import structlog
from django.db import DatabaseError, connection
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from hospitals import selectors as hospital_selectors
from sharing.models import DiscoveryWindow, Series, Study, Transfer
from sharing.services import discovery, proving, pulling, transfers

log = structlog.get_logger(__name__)

POLL_S = 0.2
COUNT_S = 0.5  # the figures that are shown while it runs are read this often
TRIES = 3  # of one series within one run; further tries are the workers'
DATABASE_AWAY_S = 120.0


@dataclass
class PullRun:
    """What one run asked for and how far it is."""

    institution_id: int
    started_at: datetime
    windows: list[int] = field(default_factory=list)
    studies_found: int = 0
    total: int = 0
    done: int = 0
    failed: int = 0
    waiting: int = 0
    received_bytes: int = 0
    received_instances: int = 0
    quiet: bool = False  # the hospital keeps its quiet hours: only what is asked on demand goes on


@dataclass(frozen=True)
class RunSummary:
    """The closing table of a run."""

    studies: int
    series: int
    instances: int
    size_bytes: int
    seconds: float
    verified: int
    quarantined: int
    failures: tuple[tuple[str, str, str], ...]  # (series or window, error code, text)


def start(
    *,
    institution_id: int,
    since: date | None,
    until: date | None,
    study_instance_uid: str = "",
    index_only: bool = False,
) -> PullRun:
    """Discover what is asked for and queue it.

    Raises:
        InstitutionNotActive: the institution is not asked for studies.
        OriginError: the hospital does not answer (one study asked for by its UID).
    """
    run = PullRun(institution_id=institution_id, started_at=timezone.now())
    if study_instance_uid:
        discovery.require_active(institution_id=institution_id)
        run.studies_found = discovery.index_study(
            institution_id=institution_id,
            study_instance_uid=study_instance_uid,
            lane=Transfer.Lane.ON_DEMAND,
        )
        return run
    opened = discovery.open_window(
        institution_id=institution_id, since=since, until=until, index_only=index_only
    )
    run.windows = [window.pk for window in opened]
    return run


def discover(run: PullRun) -> Iterator[PullRun]:
    """Read the run's windows, one after another; yields after each."""
    queue = list(run.windows)
    while queue:
        window = discovery.run_window(window_id=queue.pop(0))
        if window is None:
            continue
        run.studies_found += window.found
        children = DiscoveryWindow.objects.filter(
            institution_id=run.institution_id,
            state=DiscoveryWindow.State.OPEN,
            updated_at__gte=run.started_at,
            not_before__lte=timezone.now(),
        ).exclude(pk__in=run.windows)
        fresh = list(children.values_list("pk", flat=True))
        run.windows += fresh
        queue += fresh
        yield run


def work(run: PullRun) -> Iterator[PullRun]:
    """Pull the institution's waiting series until none is left to try; yields the progress."""
    policy = hospital_selectors.pull_policy(institution_id=run.institution_id)
    cap = policy.concurrency
    worker = f"{socket.gethostname()}:{os.getpid()}:pull"
    busy: set[Future[None]] = set()
    with ThreadPoolExecutor(max_workers=cap, thread_name_prefix="pull") as pool:
        away_since: float | None = None
        counted_at = 0.0
        while True:
            try:
                if away_since is not None:
                    transfers.release_lost()
                for pk in transfers.hand_out(
                    slots=cap - len(busy), institution_id=run.institution_id
                ):
                    busy.add(pool.submit(_run_one, pk, worker))
                if time.monotonic() - counted_at >= COUNT_S:
                    _count(run)
                    run.quiet = policy.is_quiet(timezone.localtime())
                    counted_at = time.monotonic()
                away_since = None
            except DatabaseError:
                away_since = away_since or time.monotonic()
                connection.close()
                if time.monotonic() - away_since > DATABASE_AWAY_S:
                    raise
            yield run
            finished, busy = (
                wait(busy, timeout=POLL_S, return_when=FIRST_COMPLETED) if busy else (set(), busy)
            )
            for future in finished:
                future.result()
            if not busy and away_since is None:
                if not _left_to_try(run):
                    break
                time.sleep(POLL_S)
                transfers.release_lost()
    proving.certify_overdue()
    _count(run)
    yield run


def summarise(run: PullRun) -> RunSummary:
    """The closing table: what this run touched, and what failed with its reason."""
    touched = _touched(run)
    totals = touched.aggregate(
        instances=Sum("received_instances"),
        size=Sum("received_bytes"),
        quarantined=Sum("quarantined"),
    )
    series = Series.objects.filter(pk__in=touched.values("series_id"))
    failures = [
        (transfer.series.series_instance_uid, transfer.error_code, transfer.error_text)
        for transfer in touched.exclude(state=Transfer.State.DONE).select_related("series")
    ]
    failures += [
        (
            f"{window.since}..{window.until}" if window.since else "everything",
            window.error_code,
            window.error_text,
        )
        for window in DiscoveryWindow.objects.filter(pk__in=run.windows).exclude(error_code="")
        if window.state != DiscoveryWindow.State.DONE
    ]
    return RunSummary(
        studies=Study.objects.filter(series__in=series).distinct().count(),
        series=series.count(),
        instances=totals["instances"] or 0,
        size_bytes=totals["size"] or 0,
        seconds=(timezone.now() - run.started_at).total_seconds(),
        verified=series.filter(state=Series.State.VERIFIED).count(),
        quarantined=totals["quarantined"] or 0,
        failures=tuple(failures),
    )


def _run_one(transfer_id: int, worker: str) -> None:
    try:
        pulling.run_transfer(transfer_id=transfer_id, worker=worker)
    except DatabaseError as error:
        # The row's lease ends by itself; the loop waits for the database and hands the series out again.
        log.warning("transfer.database_away", transfer_id=transfer_id, error=type(error).__name__)
    except Exception:
        # The row says so and is tried again; the other series of the run go on.
        log.exception("transfer.crashed", transfer_id=transfer_id)
    finally:
        with suppress(DatabaseError):
            connection.close()


def _touched(run: PullRun) -> QuerySet[Transfer]:
    since_start = Q(asked_at__gte=run.started_at) | Q(started_at__gte=run.started_at)
    return Transfer.objects.filter(since_start, institution_id=run.institution_id)


def _count(run: PullRun) -> None:
    touched = _touched(run)
    run.total = touched.count()
    run.done = touched.filter(state=Transfer.State.DONE).count()
    run.failed = touched.filter(state=Transfer.State.FAILED).count()
    run.waiting = touched.filter(state__in=Transfer.OPEN).count()
    sums = touched.aggregate(i=Sum("received_instances"), b=Sum("received_bytes"))
    run.received_instances, run.received_bytes = sums["i"] or 0, sums["b"] or 0


def _left_to_try(run: PullRun) -> bool:
    """Whether a series of this institution is open that this run should still try or wait for."""
    open_ = Transfer.objects.filter(institution_id=run.institution_id, state__in=Transfer.OPEN)
    policy = hospital_selectors.pull_policy(institution_id=run.institution_id)
    if policy.slots(timezone.now()) == 0 and policy.failures > TRIES:
        return False
    return open_.exclude(state=Transfer.State.WAITING, attempts__gte=TRIES).exists()
