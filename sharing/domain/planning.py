"""Who is served next: lanes before one another, institutions in turn, never over a cap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count

FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 3600.0


@dataclass(frozen=True)
class Waiting:
    """Transfers of one lane of one institution, oldest first."""

    institution_id: int
    lane: int
    transfer_ids: tuple[int, ...]


def choose(
    waiting: Sequence[Waiting], *, free: Mapping[int, int], slots: int, turn: int = 0
) -> list[int]:
    """Pick at most ``slots`` transfers.

    A lower lane is emptied before the next one begins; inside a lane the institutions take turns, one
    transfer each, beginning with another one at each ``turn``; none gets more than ``free`` of it.
    """
    left = dict(free)
    chosen: list[int] = []
    for lane in sorted({queue.lane for queue in waiting}):
        queues = sorted((q for q in waiting if q.lane == lane), key=lambda q: q.institution_id)
        start = turn % len(queues)
        queues = queues[start:] + queues[:start]
        for depth in count():
            round_ = [q for q in queues if depth < len(q.transfer_ids)]
            if not round_:
                break
            for queue in round_:
                if len(chosen) >= slots:
                    return chosen
                if left.get(queue.institution_id, 0) > 0:
                    left[queue.institution_id] -= 1
                    chosen.append(queue.transfer_ids[depth])
    return chosen


def retry_delay_s(*, attempts: int, jitter: float) -> float:
    """Seconds until the next try: doubling from two seconds to an hour, spread by ``jitter`` in [0, 1)."""
    full = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** max(0, attempts - 1))
    return full * (0.5 + jitter / 2)


def halves(since: date, until: date) -> tuple[tuple[date, date], tuple[date, date]] | None:
    """Split a window of days into two; None when it is a single day."""
    if since >= until:
        return None
    middle = since + (until - since) // 2
    return (since, middle), (middle + timedelta(days=1), until)


def windows(since: date, until: date, *, days: int = 31) -> list[tuple[date, date]]:
    """Windows of at most ``days`` days from ``since`` to ``until``, both included, newest first."""
    found = []
    end = until
    while end >= since:
        start = max(since, end - timedelta(days=days - 1))
        found.append((start, end))
        end = start - timedelta(days=1)
    return found
