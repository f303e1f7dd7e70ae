"""Quiet hours: when a hospital does not want its archive to be asked."""

from __future__ import annotations

import datetime as dt


def is_quiet(*, quiet_from: dt.time | None, quiet_until: dt.time | None, at: dt.time) -> bool:
    """Whether ``at`` lies in the quiet hours; half-open, and over midnight when they end earlier
    than they start (22:00 to 06:00)."""
    if quiet_from is None or quiet_until is None:
        return False
    if quiet_from < quiet_until:
        return quiet_from <= at < quiet_until
    return at >= quiet_from or at < quiet_until


def parse_quiet_hours(text: str) -> tuple[dt.time, dt.time]:
    """``08:00-12:00`` as two times.

    Raises:
        ValueError: another form, or both times are equal.
    """
    start, separator, end = text.partition("-")
    if not separator:
        raise ValueError("expected HH:MM-HH:MM")
    quiet_from, quiet_until = (_clock(part) for part in (start, end))
    if quiet_from == quiet_until:
        raise ValueError("the quiet hours start and end at the same time")
    return quiet_from, quiet_until


def _clock(text: str) -> dt.time:
    parsed = dt.time.fromisoformat(text.strip())
    if parsed.tzinfo is not None:
        raise ValueError("expected a time of the hospital's clock, without a zone")
    return parsed
