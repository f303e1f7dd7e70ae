"""What this process pulls for its readers: one fetch for each study, however many read it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.db import connection

from common.errors import DomainError
from hospitals import services as hospital_services
from sharing.errors import (
    FetchFailed,
    HospitalAtCap,
    LeaseLost,
    NotPulledYet,
    PullCrashed,
    TooManyReadersWait,
)
from sharing.models import Transfer
from sharing.services import pulling, transfers
from sharing.services.on_demand.feeds import Feed
from sharing.services.transfers import Claim

log = structlog.get_logger(__name__)

THREAD_NAME = "on-demand"
MOST_FETCHES = 32  # of one process; each has a thread or two
THREADS_OF_A_FETCH = 2
CAP_PATIENCE_S = (
    120.0  # for so long a fetch without a place asks for one again; then it is the planner's
)
CAP_PAUSE_S = 0.5

_lock = threading.Lock()
_fetches: dict[int, Fetch] = {}
_pulling = threading.Condition()
_pulls = 0


class Fetch:
    """The series of one study that this process has been asked for, one after another or two at a time."""

    def __init__(self, *, study_id: int, institution_id: int) -> None:
        self.study_id, self.institution_id = study_id, institution_id
        self._pending: deque[int] = deque()
        self._wanted: set[int] = set()
        self._threads = 0
        self._feeds: dict[int, Feed] = {}
        self._settled: dict[int, DomainError | None] = {}
        self._delayed: dict[int, DomainError] = {}

    def feed(self, series_id: int) -> Feed | None:
        """The series' instances, if they arrive here."""
        return self._feeds.get(series_id)

    def is_settled(self, series_id: int) -> bool:
        """Whether this process does nothing more for it: it is done, failed, or another's."""
        return series_id in self._settled

    def error(self, series_id: int) -> DomainError | None:
        """Why the series does not come, or has not come yet."""
        return self._settled.get(series_id) or self._delayed.get(series_id)

    # Called with the registry's lock

    def want(self, series_ids: Iterable[int]) -> None:
        for series_id in series_ids:
            if series_id not in self._wanted:
                self._wanted.add(series_id)
                self._pending.append(series_id)
        while self._threads < min(THREADS_OF_A_FETCH, len(self._pending)):
            self._threads += 1
            threading.Thread(target=self._run, name=THREAD_NAME, daemon=True).start()

    def _next(self) -> int | None:
        with _lock:
            if self._pending:
                return self._pending.popleft()
            self._threads -= 1
            if self._threads == 0:
                _fetches.pop(self.study_id, None)
            return None

    # In threads of its own

    def _run(self) -> None:
        try:
            while (series_id := self._next()) is not None:
                try:
                    self._settled[series_id] = self._pull(series_id)
                except Exception as error:
                    # The row says the same where the database could be reached; else the lease ends.
                    log.exception("on_demand.pull_crashed", series_id=series_id)
                    self._settled[series_id] = PullCrashed()
                    feed = self._feeds.get(series_id)
                    if feed is not None and not feed.ended:
                        feed.end(PullCrashed(type(error).__name__))
        finally:
            hospital_services.drop_kept_origin()
            connection.close()

    def _pull(self, series_id: int) -> DomainError | None:
        until = time.monotonic() + CAP_PATIENCE_S
        while True:
            try:
                with _place_to_pull():
                    held = self._claim(series_id)
                    return None if held is None else self._watch(series_id, held)
            except HospitalAtCap as error:
                self._delayed[series_id] = error
                if time.monotonic() > until:
                    return error
            except DomainError as error:
                return error
            connection.close()  # nothing is held while it waits
            time.sleep(CAP_PAUSE_S)

    def _claim(self, series_id: int) -> Claim | None:
        rows = Transfer.objects.filter(series_id=series_id, state__in=Transfer.OPEN)
        transfer_id = rows.values_list("pk", flat=True).first()
        if transfer_id is None:
            return None
        return transfers.claim_on_demand(
            transfer_id=transfer_id,
            institution_id=self.institution_id,
            worker=f"{socket.gethostname()}:{os.getpid()}:web",
        )

    def _watch(self, series_id: int, held: Claim) -> DomainError | None:
        feed = Feed()
        self._feeds[series_id] = feed
        outcome = pulling.run_claimed(held, watcher=feed)
        error = None if outcome is not None else _why_not(held)
        feed.end(error)
        return error


@contextmanager
def _place_to_pull() -> Iterator[None]:
    """One of the places that this process has for pulls of its own."""
    global _pulls
    with _pulling:
        while _pulls >= settings.ON_DEMAND_PULLS:
            _pulling.wait()
        _pulls += 1
    try:
        yield
    finally:
        with _pulling:
            _pulls -= 1
            _pulling.notify()


def fetch(*, study_id: int, institution_id: int, series_ids: Iterable[int]) -> Fetch:
    """Pull these series in this process, unless a worker is faster; returns at once.

    Raises:
        TooManyReadersWait: so many studies are being fetched here already.
    """
    with _lock:
        found = _fetches.get(study_id)
        if found is None:
            if len(_fetches) >= MOST_FETCHES:
                raise TooManyReadersWait
            found = _fetches[study_id] = Fetch(study_id=study_id, institution_id=institution_id)
        found.want(series_ids)
        if not found._threads:
            del _fetches[study_id]
        return found


def _why_not(held: Claim) -> DomainError:
    """What the row says of a pull that did not succeed."""
    row = Transfer.objects.filter(pk=held.transfer_id).first()
    if row is None or row.generation != held.generation:
        return LeaseLost()
    if row.state in (Transfer.State.RUNNING, Transfer.State.DONE):
        return LeaseLost()
    return failure_of(row)


def failure_of(row: Transfer) -> NotPulledYet:
    """The last failure of a transfer, for a reader."""
    return FetchFailed(
        f"{FetchFailed().message} ({row.error_code}: {row.error_text})",
        final=row.state == Transfer.State.FAILED,
        cause=row.error_code,
    )
