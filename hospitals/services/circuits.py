"""What came of asking an endpoint: its circuit, its last success and its last error."""

from __future__ import annotations

import datetime as dt
import secrets

from django.db.models import Q
from django.utils import timezone

from common.errors import DomainError
from hospitals.domain import circuit
from hospitals.models import Endpoint

# A success is written at most this often: a busy hospital's row is not rewritten for every series.
SUCCESS_GRAIN = dt.timedelta(seconds=5)
_RANDOM = secrets.SystemRandom()


def record_origin_success(*, institution_id: int) -> None:
    """The endpoint answered: its circuit is closed and its count of failures starts again."""
    now = timezone.now()
    stale = Q(last_success_at__isnull=True) | Q(last_success_at__lt=now - SUCCESS_GRAIN)
    Endpoint.objects.filter(
        stale | Q(failures__gt=0) | Q(open_until__isnull=False), institution_id=institution_id
    ).update(failures=0, open_until=None, last_success_at=now)


def record_origin_failure(*, institution_id: int, error: DomainError) -> dt.datetime | None:
    """The endpoint failed; answers until when it is left alone, if it is.

    Errors about one resource (404, a cut-off stream) are noted and count nothing. Failures that
    arrive while the circuit is open are those of requests under way: they lengthen nothing.
    """
    now = timezone.now()
    noted = {
        "last_error_code": error.code[:64],
        "last_error_text": error.message[:500],
        "last_error_at": now,
    }
    rows = Endpoint.objects.filter(institution_id=institution_id)
    if not circuit.counts(error.code):
        rows.update(**noted)
        return None
    while True:  # ends: each round that is not the last one means another worker's count went in
        seen = rows.values("failures", "open_until").first()
        if seen is None:
            return None
        if circuit.is_open(open_until=seen["open_until"], now=now):
            rows.update(**noted)
            return seen["open_until"]
        open_until = _open_until(seen["failures"] + 1, error, now)
        same = rows.filter(failures=seen["failures"], open_until=seen["open_until"])
        if seen["open_until"] is None:
            same = rows.filter(failures=seen["failures"], open_until__isnull=True)
        if same.update(failures=seen["failures"] + 1, open_until=open_until, **noted):
            return open_until


def _open_until(failures: int, error: DomainError, now: dt.datetime) -> dt.datetime | None:
    interval_s = circuit.open_interval_s(
        failures=failures,
        random=_RANDOM.random(),
        error_code=error.code,
        retry_after_s=getattr(error, "retry_after_s", None),
    )
    return None if interval_s is None else now + dt.timedelta(seconds=interval_s)
