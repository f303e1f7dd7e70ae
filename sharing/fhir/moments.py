"""When an examination began: a day and a time as DICOM has them, on the province's wall clock."""

from __future__ import annotations

import re
from datetime import date, datetime, time

from django.db.models import F, Func, Q, TextField, Value
from django.db.models.functions import Collate
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from common.fhir.values import Period, compared, days

_TIME = re.compile(r"(\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?", re.ASCII)
# A time with minutes; one of the hour alone says no more than the day (R4 has no such dateTime).
_TIMED = Q(study_time__regex=r"^[0-9]{2}:?[0-9]{2}")


def date_time(day: date | None, text: str) -> str:
    """The dateTime of a date and a TM value: with zone where there is a time, else the day; empty for none."""
    if day is None:
        return ""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return day.isoformat()
    hour, minute, second = (int(each or 0) for each in found.groups()[:3])
    if hour > 23 or minute > 59:
        return day.isoformat()
    # 60 is a leap second.
    moment = time(hour, minute, min(second, 59), int((found[4] or "").ljust(6, "0")))
    instant = datetime.combine(day, moment, tzinfo=timezone.get_default_timezone())
    offset = instant.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        return (
            day.isoformat()
        )  # local mean time of before 1901: a dateTime has no seconds of offset
    return instant.isoformat()


def began(asked: Period) -> Q:
    """Studies whose beginning compares so with what is asked."""
    if asked.whole_days:
        return days("study_date", asked)  # whatever the time
    point = compared(
        asked.prefix,
        inside=_since(asked.first) & ~_since(asked.end),
        after=_since(asked.end),
        before=~_since(asked.first),
    )
    return _about(asked) & (_TIMED & point | ~_TIMED & days("study_date", asked))


def _about(asked: Period) -> Q:
    """The days on which such studies lie, and more: what the index by date finds at once."""
    first, end = asked.first.date(), asked.end.date()
    return {
        "eq": Q(study_date__gte=first, study_date__lte=end),
        "ne": Q(study_date__isnull=False),
        "gt": Q(study_date__gte=end),
        "sa": Q(study_date__gte=end),
        "ge": Q(study_date__gte=first),
        "lt": Q(study_date__lte=first),
        "eb": Q(study_date__lte=first),
        "le": Q(study_date__lte=end),
    }[asked.prefix]


def _since(moment: datetime) -> Q:
    """Timed studies from this moment on."""
    later = Q(study_date__gt=moment.date())
    if moment.time() == time.min:
        return later | Q(study_date=moment.date())
    # Digits compare as text where ending zeros do not count: 1015 is 10:15:00, and 101500.5 comes after it.
    digits = f"{moment:%H%M%S.%f}".rstrip("0").removesuffix(".")
    times = Collate(
        Func(F("study_time"), Value(":"), Value(""), function="replace", output_field=TextField()),
        "C",
    )
    return later | Q(study_date=moment.date()) & Q(GreaterThanOrEqual(times, digits))
