"""The circuit of an endpoint: after repeated failures it is left alone for a while.

Pure: the instant and the random number are passed in.
"""

from __future__ import annotations

import datetime as dt

# So many failures in a row are borne before the endpoint is left alone.
FAILURES_BEFORE_OPEN = 3
FIRST_OPEN_S = 30.0
LONGEST_OPEN_S = 1800.0
LONGEST_RETRY_AFTER_S = 3600.0
# No repetition mends these: the endpoint is left alone at the first one.
OPENS_AT_ONCE = frozenset({"origin-refused"})
# Answers about one resource: the endpoint itself is well.
NOT_THE_ENDPOINTS = frozenset({"origin-not-found", "origin-cut-off"})


def counts(error_code: str) -> bool:
    """Whether an error says something about the endpoint rather than about one study or series."""
    return error_code not in NOT_THE_ENDPOINTS


def open_interval_s(
    *, failures: int, random: float, error_code: str = "", retry_after_s: float | None = None
) -> float | None:
    """For how long to leave the endpoint alone after ``failures`` in a row; None: not yet.

    Doubles with each further failure up to half an hour, times 0.5 to 1 by ``random`` (0 to 1), so
    that many endpoints behind one failed line do not come back at the same second. What the
    hospital itself asked for (Retry-After, RFC 9110 §10.2.3) is the least, up to one hour.
    """
    at_once = error_code in OPENS_AT_ONCE or retry_after_s is not None
    if failures < FAILURES_BEFORE_OPEN and not at_once:
        return None
    doublings: float = min(max(failures - FAILURES_BEFORE_OPEN, 0), 16)
    backoff: float = min(FIRST_OPEN_S * 2.0**doublings, LONGEST_OPEN_S) * (0.5 + 0.5 * random)
    return max(backoff, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))


def is_open(*, open_until: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether nothing may be asked at ``now``."""
    return open_until is not None and now < open_until
