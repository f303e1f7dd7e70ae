"""Work in hand and work that failed, for those who run the province or one of its hospitals.

Rows carry UIDs and states, never a name or a number of a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import Count, Max, Model, Q, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from common.errors import NotFound
from sharing.models import DiscoveryWindow, Quarantined, Series, Transfer
from sharing.selectors.overview import run_by

if TYPE_CHECKING:
    from common.accounts.models import User

M = TypeVar("M", bound=Model)

_SETTLED_SERIES = [Series.State.VERIFIED]


@dataclass(frozen=True)
class LaneBacklog:
    """What waits and runs in one lane of one institution."""

    lane: int
    label: str
    waiting: int
    running: int
    delayed: int  # waiting for a later try


@dataclass(frozen=True)
class Failure:
    """One kind of failure of an institution's transfers, with how often and when last."""

    code: str
    text: str
    times: int
    last_at: datetime | None


@dataclass(frozen=True)
class Hour:
    """What finished within one hour."""

    at: datetime
    size_bytes: int
    series: int
    failed: int


def backlog(*, institution_id: int, now: datetime) -> list[LaneBacklog]:
    """Open transfers of an institution, lane by lane, empty lanes too."""
    waiting = Q(state__in=[Transfer.State.WAITING, Transfer.State.HANDED])
    rows = (
        Transfer.objects.filter(institution_id=institution_id, state__in=Transfer.OPEN)
        .values("lane")
        .annotate(
            waiting=Count("id", filter=waiting),
            running=Count("id", filter=Q(state=Transfer.State.RUNNING)),
            delayed=Count("id", filter=waiting & Q(not_before__gt=now)),
        )
        .order_by()
    )
    by_lane: dict[int, Any] = {row["lane"]: row for row in rows}
    return [
        LaneBacklog(
            lane=lane.value,
            label=str(lane.label),
            waiting=by_lane.get(lane.value, {}).get("waiting", 0),
            running=by_lane.get(lane.value, {}).get("running", 0),
            delayed=by_lane.get(lane.value, {}).get("delayed", 0),
        )
        for lane in Transfer.Lane
    ]


def running_transfers(*, institution_id: int, limit: int = 20) -> list[Transfer]:
    """The transfers of an institution that a worker holds at this moment, oldest first."""
    rows = Transfer.objects.filter(institution_id=institution_id, state=Transfer.State.RUNNING)
    return list(
        rows.select_related("series__study__institution").order_by("started_at", "id")[:limit]
    )


def failures(*, institution_id: int, limit: int = 8) -> list[Failure]:
    """What went wrong with transfers that are not yet good, by kind: given up or waiting for another try."""
    rows = (
        Transfer.objects.filter(institution_id=institution_id)
        .filter(Q(state=Transfer.State.FAILED) | Q(state__in=Transfer.OPEN))
        .exclude(error_code="")
        .exclude(series__state__in=_SETTLED_SERIES)
        .values("error_code")
        .annotate(times=Count("id"), last_at=Max("finished_at"), text=Max("error_text"))
        .order_by("-times")[:limit]
    )
    return [Failure(row["error_code"], row["text"], row["times"], row["last_at"]) for row in rows]


def throughput(*, institution_id: int, now: datetime, hours: int = 24) -> list[Hour]:
    """What finished in each of the last hours, hours without anything too, oldest first."""
    zone = timezone.get_current_timezone()
    newest = now.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    oldest = newest - timedelta(hours=hours - 1)
    rows = (
        Transfer.objects.filter(institution_id=institution_id, finished_at__gte=oldest)
        .annotate(hour=TruncHour("finished_at"))
        .values("hour")
        .annotate(
            size=Sum("received_bytes"),
            series=Count("id", filter=Q(state=Transfer.State.DONE)),
            failed=Count("id", filter=Q(state=Transfer.State.FAILED)),
        )
        .order_by()
    )
    by_hour: dict[datetime, Any] = {row["hour"]: row for row in rows}
    return [
        Hour(at, found.get("size") or 0, found.get("series", 0), found.get("failed", 0))
        for at in (oldest + timedelta(hours=n) for n in range(hours))
        for found in (by_hour.get(at, {}),)
    ]


def quarantined_of(*, institution_id: int, limit: int = 20) -> list[Quarantined]:
    """Open quarantine cases of an institution, newest first."""
    rows = Quarantined.objects.filter(institution_id=institution_id, state=Quarantined.State.OPEN)
    return list(rows.select_related("institution").order_by("-last_at")[:limit])


def list_failed(*, actor: User, institution_code: str = "") -> QuerySet[Transfer]:
    """Transfers that were given up and whose series is not good by now, newest first, as far as
    this account may read about them."""
    rows = Transfer.objects.filter(state=Transfer.State.FAILED).exclude(
        series__state__in=_SETTLED_SERIES
    )
    # The newest transfer of a series tells; an older failure was followed by another try.
    rows = rows.exclude(series__transfers__state__in=Transfer.OPEN)
    rows = _narrow(rows, actor=actor, institution_code=institution_code)
    return rows.select_related("series__study__institution", "institution").order_by(
        "-finished_at", "-id"
    )


def list_quarantined(*, actor: User, institution_code: str = "") -> QuerySet[Quarantined]:
    """Open quarantine cases, newest first, as far as this account may read about them."""
    rows = Quarantined.objects.filter(state=Quarantined.State.OPEN)
    rows = _narrow(rows, actor=actor, institution_code=institution_code)
    return rows.select_related("institution").order_by("-last_at", "-id")


def list_failed_windows(*, actor: User, institution_code: str = "") -> QuerySet[DiscoveryWindow]:
    """Windows of dates that could not be searched, newest first."""
    rows = DiscoveryWindow.objects.filter(state=DiscoveryWindow.State.FAILED)
    rows = _narrow(rows, actor=actor, institution_code=institution_code)
    return rows.select_related("institution").order_by("-updated_at", "-id")


def _narrow(rows: QuerySet[M], *, actor: User, institution_code: str) -> QuerySet[M]:
    reach = run_by(actor)
    if reach.institution_ids is not None:
        rows = rows.filter(institution_id__in=sorted(reach.institution_ids))
    return rows.filter(institution__code=institution_code) if institution_code else rows


def get_transfer(*, actor: User, transfer_id: int) -> Transfer:
    """One transfer that this account may act on.

    Raises:
        NotFound: there is none, or its institution is not this account's to run.
    """
    found = _narrow(
        Transfer.objects.filter(pk=transfer_id), actor=actor, institution_code=""
    ).first()
    if found is None:
        raise NotFound("There is no such transfer.")
    return found


def get_case(*, actor: User, case_id: int) -> Quarantined:
    """One quarantine case that this account may act on.

    Raises:
        NotFound: there is none, or its institution is not this account's to run.
    """
    rows = Quarantined.objects.filter(pk=case_id)
    found = _narrow(rows, actor=actor, institution_code="").first()
    if found is None:
        raise NotFound("There is no such case.")
    return found
