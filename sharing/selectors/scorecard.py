"""An institution's own scorecard: what can be counted of its connection and its archive, month by month.

A figure that cannot be known is None and shown as such. Nothing of a patient is in here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import (
    Count,
    DateField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    Sum,
    Value,
)
from django.db.models.functions import TruncMonth

from common.dates import day_bounds, month_bounds
from common.kept import Kept
from hospitals.selectors.health import probes_by_month
from sharing.models import Quarantined, SeriesRevision, Study, Transfer

MONTHS = 12
# Counting a year of a large hospital takes long; a scorecard is not read by the second.
_KEEP_S = 300.0
_kept: Kept[tuple[int, date], list[Month]] = Kept(entries=200, keep_s=_KEEP_S)
# A study that was found later than this after it was made came by a look back, and says nothing of freshness.
_FRESH = timedelta(days=31)
_UNREADABLE = "\ufffd"  # what stands where bytes fitted no character set


@dataclass(frozen=True)
class Month:
    """One month. Studies count by their study date, work by when it was done."""

    first: date
    studies: int = 0
    retrievable: int = 0
    incomplete: int = 0
    indexed: int = 0
    unreadable_names: int = 0
    found_fresh: int = 0  # found within 31 days
    found_next_day: int = 0  # of these, found on the day or the next
    transfers: int = 0
    failed: int = 0
    received_bytes: int = 0
    seconds: float = 0.0
    late: int = 0  # revisions that grew: instances came late
    cases: int = 0
    probes: int = 0
    reached: int = 0
    answer_ms: float | None = None

    @property
    def retrievable_share(self) -> float | None:
        return self.retrievable / self.studies if self.studies else None

    @property
    def complete_share(self) -> float | None:
        held = self.retrievable + self.incomplete
        return self.retrievable / held if held else None

    @property
    def next_day_share(self) -> float | None:
        return self.found_next_day / self.found_fresh if self.found_fresh else None

    @property
    def failed_share(self) -> float | None:
        return self.failed / self.transfers if self.transfers else None

    @property
    def reached_share(self) -> float | None:
        return self.reached / self.probes if self.probes else None

    @property
    def bytes_per_s(self) -> float | None:
        return self.received_bytes / self.seconds if self.seconds else None


def scorecard(*, institution_id: int, today: date) -> list[Month]:
    """The last twelve months, the running one last; at most five minutes old. Five queries."""
    key = (institution_id, today)
    found = _kept.get(key)
    if found is None:
        found = _count(institution_id, _months(today))
        _kept.put(key, found)
    return found


def forget_scorecards() -> None:
    """Count anew at the next request, in this process."""
    _kept.clear()


def total(months: Iterable[Month]) -> Month:
    """All months as one: sums; the mean answer is that of the months that have one."""
    rows = list(months)
    sums: dict[str, Any] = {
        each.name: sum(getattr(row, each.name) for row in rows)
        for each in fields(Month)
        if each.name not in {"first", "answer_ms"}
    }
    answers = [row.answer_ms for row in rows if row.answer_ms is not None]
    mean = sum(answers) / len(answers) if answers else None
    return Month(first=rows[0].first, answer_ms=mean, **sums)


def _months(today: date) -> list[date]:
    first = month_bounds(today)[0]
    found = [first]
    for _number in range(MONTHS - 1):
        found.append(month_bounds(found[-1] - timedelta(days=1))[0])
    return found[::-1]


def _count(institution_id: int, months: list[date]) -> list[Month]:
    start = day_bounds(months[0])[0]
    rows = {first: Month(first) for first in months}
    for counted in (
        _studies(institution_id, months[0]),
        _transfers(institution_id, start),
        _late(institution_id, start),
        _cases(institution_id, start),
        probes_by_month(institution_id=institution_id, since=start),
    ):
        for row in counted:
            values = dict(row)
            first = values.pop("month")
            first = first.date() if isinstance(first, datetime) else first
            if first in rows:
                given = {name: value for name, value in values.items() if value is not None}
                rows[first] = replace(rows[first], **given)
    return list(rows.values())


def _studies(institution_id: int, since: date) -> Iterable[Any]:
    state = Study.State
    found_after = ExpressionWrapper(F("found_at") - F("study_date"), output_field=DurationField())
    fresh = Q(found_after__lt=_FRESH + timedelta(days=1))
    return (
        Study.objects.filter(institution_id=institution_id, study_date__gte=since)
        .annotate(month=TruncMonth("study_date", output_field=DateField()), found_after=found_after)
        .values("month")
        .annotate(
            studies=Count("id"),
            retrievable=Count("id", filter=Q(state=state.ARCHIVED)),
            incomplete=Count("id", filter=Q(state=state.INCOMPLETE)),
            indexed=Count("id", filter=Q(state=state.INDEXED)),
            unreadable_names=Count("id", filter=Q(patient_name__contains=_UNREADABLE)),
            found_fresh=Count("id", filter=fresh),
            found_next_day=Count("id", filter=Q(found_after__lt=timedelta(days=2))),
        )
        .order_by()
    )


def _transfers(institution_id: int, since: datetime) -> Iterable[Any]:
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    done = Q(state=Transfer.State.DONE)
    rows = (
        Transfer.objects.filter(institution_id=institution_id, finished_at__gte=since)
        .annotate(month=TruncMonth("finished_at"))
        .values("month")
        .annotate(
            transfers=Count("id"),
            failed=Count("id", filter=Q(state=Transfer.State.FAILED)),
            received_bytes=Sum("received_bytes", filter=done),
            seconds=Sum(took, filter=done),
        )
        .order_by()
    )
    for row in rows:
        seconds = row["seconds"].total_seconds() if row["seconds"] else None
        yield {**row, "seconds": seconds}


def _late(institution_id: int, since: datetime) -> Iterable[Any]:
    # A revision may also hold the same instances otherwise read, or one taken in place of another.
    smaller = SeriesRevision.objects.filter(
        series=OuterRef("series"),
        number=OuterRef("number") - Value(1),
        instance_count__lt=OuterRef("instance_count"),
    )
    return (
        SeriesRevision.objects.filter(
            Exists(smaller),
            series__study__institution_id=institution_id,
            number__gt=1,
            stored_at__gte=since,
        )
        .annotate(month=TruncMonth("stored_at"))
        .values("month")
        .annotate(late=Count("id"))
        .order_by()
    )


def _cases(institution_id: int, since: datetime) -> Iterable[Any]:
    return (
        Quarantined.objects.filter(institution_id=institution_id, first_at__gte=since)
        .annotate(month=TruncMonth("first_at"))
        .values("month")
        .annotate(cases=Count("id"))
        .order_by()
    )
