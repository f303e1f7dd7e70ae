"""A code that somebody shows, of the generator or a recovery code; wrong ones lock as wrong passwords do."""

from __future__ import annotations

from common import request_context
from common.accounts import factors, throttle
from common.accounts.models import User
from common.errors import DomainError, Kind

GENERATOR = "totp"
RECOVERY = "recovery"


class Locked(DomainError):
    """Too many wrong codes: wait, or ask your administrator to release the lock."""

    code = "codes-locked"
    kind = Kind.UNAVAILABLE

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = self.retry_after_s = seconds


def show(user: User, code: str) -> str:
    """How the code proved the second factor (``GENERATOR`` or ``RECOVERY``); empty where it is wrong.

    Raises:
        Locked: too many were wrong; not even a right one is looked at.
    """
    address = request_context.current().address
    until = throttle.locked_until(username=user.username, address=address, what=throttle.CODE)
    if until is not None:
        raise Locked(throttle.seconds_until(until))
    # Counted before it is looked at: guesses sent at the same time are not more guesses than allowed.
    tried = throttle.count_failure(username=user.username, address="", what=throttle.CODE)
    if tried > throttle.FAILURES:
        raise Locked(int(throttle.LOCK.total_seconds()))
    how = _proves(user, code)
    if how:
        throttle.forgive(username=user.username, what=throttle.CODE)
    else:
        throttle.count_address(address)
    return how


def _proves(user: User, code: str) -> str:
    if factors.looks_like_generator_code(code):
        return GENERATOR if factors.accept_code(user, code) else ""
    return RECOVERY if factors.accept_recovery_code(user, code) else ""
