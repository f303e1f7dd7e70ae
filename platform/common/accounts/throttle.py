"""Failed log-ins lock: the account after 5 in 15 minutes, an address after 30; for 15 minutes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from common import audit
from common.accounts.models import LoginThrottle, User
from common.privacy import lookup_hash

WINDOW = timedelta(minutes=15)
LOCK = timedelta(minutes=15)
FAILURES = 5  # of one account


@dataclass(frozen=True)
class _Counted:
    key: bytes
    allowed: int


# What is guessed. Each is counted apart: who knows the password must not also be forgiven wrong codes.
PASSWORD = "login account"  # noqa: S105 - names what is counted
CODE = "login code"


def _counted(*, username: str, address: str, what: str) -> list[_Counted]:
    keys = [_Counted(lookup_hash(username, purpose=what), FAILURES)]
    if address:
        keys.append(_Counted(lookup_hash(address, purpose="login address"), 30))
    return keys


def locked_until(
    *, username: str, address: str, now: datetime | None = None, what: str = PASSWORD
) -> datetime | None:
    """Until when this account or address may not try; None if it may."""
    keys = [counted.key for counted in _counted(username=username, address=address, what=what)]
    row = (
        LoginThrottle.objects.filter(key__in=keys, locked_until__gt=now or timezone.now())
        .order_by("-locked_until")
        .first()
    )
    return row.locked_until if row else None


def seconds_until(instant: datetime) -> int:
    """How long to wait, in whole seconds and never too short."""
    return int((instant - timezone.now()).total_seconds()) + 1


_COUNT = """
INSERT INTO accounts_loginthrottle AS t (key, failures, first_failed_at, locked_until)
VALUES (%(key)s, 1, %(now)s, NULL)
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN t.first_failed_at < %(since)s THEN 1 ELSE t.failures + 1 END,
    first_failed_at = CASE WHEN t.first_failed_at < %(since)s THEN %(now)s ELSE t.first_failed_at END,
    locked_until = CASE
        WHEN t.first_failed_at >= %(since)s AND t.failures + 1 >= %(allowed)s THEN %(until)s
        ELSE t.locked_until END
RETURNING t.failures
"""


def count_failure(
    *, username: str, address: str, now: datetime | None = None, what: str = PASSWORD
) -> int:
    """Note a failed log-in; simultaneous ones are all counted. Answers how many the account has now."""
    account, *others = _counted(username=username, address=address, what=what)
    failures = _count([account], now)
    _count(others, now)
    return failures


def count_address(address: str) -> None:
    """Note a failure of an address whose account was counted before."""
    _count(_counted(username="", address=address, what=PASSWORD)[1:], None)


def _count(keys: list[_Counted], now: datetime | None) -> int:
    now = now or timezone.now()
    failures = 0
    with connection.cursor() as cursor:
        for counted in keys:
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
            failures = cursor.fetchone()[0]
    LoginThrottle.objects.filter(first_failed_at__lt=now - timedelta(days=1)).delete()
    return failures


def forgive(*, username: str, what: str = PASSWORD) -> None:
    """Forget the account's failures: it has logged in."""
    LoginThrottle.objects.filter(key=lookup_hash(username, purpose=what)).delete()


def locks_of(usernames: Iterable[str], *, now: datetime | None = None) -> dict[str, datetime]:
    """Which of these accounts are locked, by wrong passwords or codes, and until when. One query."""
    names = {
        lookup_hash(username, purpose=what): username
        for username in usernames
        for what in (PASSWORD, CODE)
    }
    rows = LoginThrottle.objects.filter(key__in=names, locked_until__gt=now or timezone.now())
    locks: dict[str, datetime] = {}
    for key, until in rows.order_by("locked_until").values_list("key", "locked_until"):
        if until is not None:
            locks[names[bytes(key)]] = until
    return locks


def release(*, actor: User | str, user: User) -> bool:
    """Let an account try again at once; False where it was not locked. Addresses stay as they are."""
    if not locks_of([user.username]):
        return False
    for what in (PASSWORD, CODE):
        forgive(username=user.username, what=what)
    audit.record(actor, "account.unlock", obj=user)
    return True
