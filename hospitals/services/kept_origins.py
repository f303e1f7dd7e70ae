"""A worker that pulls series after series of one hospital goes on with the connection that it has.

Each thread keeps one origin, for a moment: hospitals close what is idle (some after a second), and a request that
crosses with that would count as a failure of theirs. It is taken again only for the same endpoint with the same
settings and secret, so a change holds from the next series on, and for a minute at most, so that a new probe and
the check of the address come into force.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from django.conf import settings

from common.dicomweb.origin import Origin
from hospitals.models import Endpoint

IDLE_S = 0.5
AGE_S = 60.0


@dataclass(frozen=True)
class KeptOrigin:
    """An open origin, what it was opened with, and when."""

    origin: Origin
    opened_with: tuple[object, ...]
    opened_at: float
    used_at: float


class _OfThread(threading.local):
    kept: KeptOrigin | None = None


_of_thread = _OfThread()


def opened_with(endpoint: Endpoint) -> tuple[object, ...]:
    """All that decides whether an origin opened before is the one that would be opened now."""
    return (
        os.getpid(),  # a child of a fork must not speak on its parent's connection
        endpoint.pk,
        endpoint.updated_at,
        bytes(endpoint.secret or b""),
        settings.HOSPITAL_NETWORKS,
        settings.ALLOW_LOOPBACK_HOSPITALS,
    )


def take(endpoint: Endpoint) -> KeptOrigin | None:
    """The thread's origin, if it is this endpoint's and still fresh; it is the caller's now."""
    kept, _of_thread.kept = _of_thread.kept, None
    if kept is None:
        return None
    now = time.monotonic()
    if (
        kept.opened_with == opened_with(endpoint)
        and now - kept.used_at <= IDLE_S
        and now - kept.opened_at <= AGE_S
    ):
        return kept
    kept.origin.close()
    return None


def keep(origin: Origin, endpoint: Endpoint, *, opened_at: float) -> None:
    """Leave an origin for the thread's next call; one left before is closed."""
    drop()
    _of_thread.kept = KeptOrigin(origin, opened_with(endpoint), opened_at, time.monotonic())


def drop() -> None:
    """Close what the thread keeps."""
    kept, _of_thread.kept = _of_thread.kept, None
    if kept is not None:
        kept.origin.close()
