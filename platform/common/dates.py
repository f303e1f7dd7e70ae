"""Days and instants. Instants are kept in UTC; a day is one on the wall clock of the province (``TIME_ZONE``)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone


def today() -> date:
    """The day it is in the province."""
    return timezone.localdate()


def day_of(instant: datetime) -> date:
    """The day on which an instant falls in the province."""
    return timezone.localtime(instant).date()


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """First instant of the day and first instant of the next, in UTC: a half-open range."""
    zone = timezone.get_default_timezone()
    begin = datetime.combine(day, time.min, tzinfo=zone)
    end = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return begin.astimezone(UTC), end.astimezone(UTC)


def month_bounds(day: date) -> tuple[date, date]:
    """First day of the month and first day of the next: a half-open range."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def parse_dicom_date(text: str) -> date | None:
    """A DA value (PS3.5 §6.2, ``20260131``; ``2026.01.31`` of ACR-NEMA too), or None for anything else."""
    digits = text.strip().replace(".", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def dicom_date(day: date) -> str:
    """A day as DA value."""
    return f"{day:%Y%m%d}" if day.year >= 1000 else f"{day.year:04d}{day:%m%d}"
