"""Failed log-ins lock: the account after 5 in 15 minutes, an address after 30; for 15 minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from common.accounts.models import LoginThrottle
from common.privacy import lookup_hash

WINDOW = timedelta(minutes=15)
LOCK = timedelta(minutes=15)


@dataclass(frozen=True)
class _Counted:
    key: bytes
    allowed: int


def _counted(*, username: str, address: str) -> list[_Counted]:
    keys = [_Counted(lookup_hash(username, purpose="login account"), 5)]
    if address:
        keys.append(_Counted(lookup_hash(address, purpose="login address"), 30))
    return keys


def locked_until(*, username: str, address: str, now: datetime | None = None) -> datetime | None:
    """Until when this account or address may not try; None if it may."""
    keys = [counted.key for counted in _counted(username=username, address=address)]
    row = (
        LoginThrottle.objects.filter(key__in=keys, locked_until__gt=now or timezone.now())
        .order_by("-locked_until")
        .first()
    )
    return row.locked_until if row else None


_COUNT = """
INSERT INTO accounts_loginthrottle AS t (key, failures, first_failed_at, locked_until)
VALUES (%(key)s, 1, %(now)s, NULL)
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN t.first_failed_at < %(since)s THEN 1 ELSE t.failures + 1 END,
    first_failed_at = CASE WHEN t.first_failed_at < %(since)s THEN %(now)s ELSE t.first_failed_at END,
    locked_until = CASE
        WHEN t.first_failed_at >= %(since)s AND t.failures + 1 >= %(allowed)s THEN %(until)s
        ELSE t.locked_until END
"""


def count_failure(*, username: str, address: str, now: datetime | None = None) -> None:
    """Note a failed log-in; simultaneous ones are all counted."""
    now = now or timezone.now()
    with connection.cursor() as cursor:
        for counted in _counted(username=username, address=address):
            cursor.execute(
                _COUNT,
                {
                    "key": counted.key,
                    "now": now,
                    "since": now - WINDOW,
                    "until": now + LOCK,
                    "allowed": counted.allowed,
                },
            )
    LoginThrottle.objects.filter(first_failed_at__lt=now - timedelta(days=1)).delete()


def forgive(*, username: str) -> None:
    """Forget the account's failures: it has logged in."""
    LoginThrottle.objects.filter(key=lookup_hash(username, purpose="login account")).delete()
