"""How far the province is: figures per institution, for pages. No patient data and no picture in here."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Max, Min, Q, Sum

from hospitals import selectors as hospitals
from hospitals.permissions import overseen_ids
from sharing.models import DiscoveryWindow, Quarantined, Series, Study, Transfer
from sharing.permissions import Role, sight_of

if TYPE_CHECKING:
    from common.accounts.models import User

RECENT = timedelta(minutes=5)
# Counting a province takes long when it is large; an answer is then kept the longer, so that a page
# that asks every two seconds never costs more than a twentieth of one processor.
_KEEP_AT_LEAST_S = 1.0
_KEEP_PER_SECOND = 20.0
_STEERS = frozenset({Role.INSTITUTION_ADMIN, Role.INTEGRATOR})


@dataclass(frozen=True)
class Reach:
    """Whose errors and causes an account may read. ``institution_ids`` None means the whole province."""

    institution_ids: frozenset[int] | None

    def covers(self, institution_id: int) -> bool:
        return self.institution_ids is None or institution_id in self.institution_ids

    def __bool__(self) -> bool:
        return self.institution_ids is None or bool(self.institution_ids)


@dataclass(frozen=True)
class Figures:
    """What is held and what is on its way. Counts are of studies unless the name says otherwise."""

    studies: int = 0
    archived: int = 0
    pulling: int = 0
    incomplete: int = 0
    indexed: int = 0
    held_series: int = 0
    instances: int = 0
    size_bytes: int = 0
    newest_archived_at: datetime | None = None
    newest_found_at: datetime | None = None
    waiting: int = 0  # transfers, i.e. series
    running: int = 0
    failed: int = 0
    arriving_instances: int = 0
    arriving_bytes: int = 0
    discovering: int = 0
    quarantined: int = 0

    @property
    def open(self) -> bool:
        """Something is waiting, running or being looked for."""
        return bool(self.waiting or self.running or self.discovering)


@dataclass(frozen=True)
class HospitalRow:
    """One hospital of the overview: who it is and how far it is."""

    health: hospitals.HealthRow
    figures: Figures
    shows_errors: bool


@dataclass(frozen=True)
class Overview:
    """The hospitals an account may read about, those with work in hand first, and their sum."""

    rows: list[HospitalRow]
    total: Figures
    institutions: int
    bytes_per_s: float

    @property
    def open(self) -> bool:
        return self.total.open


def reach_of(actor: User) -> Reach:
    """Whose errors, causes and waiting work this account may read; pictures are another matter."""
    sight = sight_of(actor)
    if sight.operation:
        return Reach(None)
    # A grant opens figures of other institutions; in a launch there is no page of them.
    overseen = frozenset() if sight.only_person is not None else overseen_ids(actor)
    return Reach(sight.own_operation | overseen)


def run_by(actor: User) -> Reach:
    """Whose work this account may steer: try again, look through the faults. Readers of images may not."""
    if sight_of(actor).operation:
        return Reach(None)
    held = hospitals.memberships_of(actor)
    return Reach(
        frozenset(
            each.institution_id for each in held if each.role in _STEERS and each.institution_id
        )
    )


def province(*, actor: User, now: datetime, limit: int = 24) -> Overview:
    """The overview for one account: sums over all it may read, and its ``limit`` busiest hospitals."""
    reach = reach_of(actor)
    by_id = figures_by_institution()
    rows = [
        HospitalRow(
            health=each,
            figures=by_id.get(each.institution_id, Figures()),
            shows_errors=reach.covers(each.institution_id),
        )
        for each in hospitals.health_overview(actor=actor)
    ]
    rows.sort(key=_busiest_first)
    return Overview(
        rows=rows[:limit],
        total=_sum(row.figures for row in rows),
        institutions=len(rows),
        bytes_per_s=recent_bytes_per_s(
            now=now, institution_ids=[row.health.institution_id for row in rows]
        ),
    )


def figures_of(institution_id: int) -> Figures:
    """The figures of one institution."""
    return figures_by_institution().get(institution_id, Figures())


def recent_bytes_per_s(*, now: datetime, institution_ids: Collection[int]) -> float:
    """Bytes received per second over the last minutes, from the first byte asked for in them; 0 when idle."""
    since = now - RECENT
    transfers = Transfer.objects.filter(
        Q(finished_at__gte=since) | Q(state=Transfer.State.RUNNING),
        institution_id__in=institution_ids,
    )
    found: dict[str, Any] = transfers.aggregate(
        size=Sum("received_bytes"), first=Min("started_at"), last=Max("finished_at")
    )
    if not found["size"] or found["first"] is None:
        return 0.0
    span: float = (now - max(found["first"], since)).total_seconds()
    return float(found["size"]) / max(span, 1.0)


def _busiest_first(row: HospitalRow) -> tuple[bool, bool, str]:
    trouble = bool(row.figures.failed or row.health.last_error_code)
    return (not row.figures.open, not trouble, row.health.code)


def _sum(parts: Iterable[Figures]) -> Figures:
    sums: dict[str, int] = {}
    newest: dict[str, datetime | None] = {"newest_archived_at": None, "newest_found_at": None}
    for part in parts:
        for each in fields(Figures):
            value = getattr(part, each.name)
            if each.name in newest:
                seen = newest[each.name]
                newest[each.name] = max(filter(None, (seen, value)), default=None)
            else:
                sums[each.name] = sums.get(each.name, 0) + value
    return Figures(
        **sums,
        newest_archived_at=newest["newest_archived_at"],
        newest_found_at=newest["newest_found_at"],
    )


@dataclass
class _Kept:
    """The last count of the province, with the instant until which it is good enough."""

    figures: dict[int, Figures] = field(default_factory=dict)
    until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept = _Kept()


def figures_by_institution() -> dict[int, Figures]:
    """Figures by institution id, counted at most once at a time in this process and kept briefly."""
    with _kept.lock:
        started = time.monotonic()
        if started >= _kept.until:
            _kept.figures = _count()
            took = time.monotonic() - started
            _kept.until = time.monotonic() + max(_KEEP_AT_LEAST_S, took * _KEEP_PER_SECOND)
        return _kept.figures


def forget_figures() -> None:
    """Count anew at the next request, in this process."""
    with _kept.lock:
        _kept.until = 0.0


def _count() -> dict[int, Figures]:
    counted: dict[int, dict[str, Any]] = {}
    for rows in (_studies(), _transfers(), _quarantined(), _windows()):
        for row in rows:
            counted.setdefault(row.pop("institution_id"), {}).update(
                {name: value for name, value in row.items() if value is not None}
            )
    return {institution_id: Figures(**row) for institution_id, row in counted.items()}


def _studies() -> Iterable[Any]:
    state = Study.State
    return (
        Study.objects.values("institution_id")
        .annotate(
            studies=Count("id"),
            archived=Count("id", filter=Q(state=state.ARCHIVED)),
            pulling=Count("id", filter=Q(state=state.PULLING)),
            incomplete=Count("id", filter=Q(state=state.INCOMPLETE)),
            indexed=Count("id", filter=Q(state=state.INDEXED)),
            held_series=Sum("series_count"),
            instances=Sum("instance_count"),
            size_bytes=Sum("size_bytes"),
            newest_archived_at=Max("archived_at"),
            newest_found_at=Max("found_at"),
        )
        .order_by()
    )


def _transfers() -> Iterable[Any]:
    running = Q(state=Transfer.State.RUNNING)
    return (
        Transfer.objects.filter(state__in=[*Transfer.OPEN, Transfer.State.FAILED])
        .values("institution_id")
        .annotate(
            waiting=Count("id", filter=Q(state__in=["waiting", "handed"])),
            running=Count("id", filter=running),
            failed=Count(
                "id",
                filter=Q(state=Transfer.State.FAILED) & ~Q(series__state=Series.State.VERIFIED),
            ),
            arriving_instances=Sum("received_instances", filter=running),
            arriving_bytes=Sum("received_bytes", filter=running),
        )
        .order_by()
    )


def _quarantined() -> Iterable[Any]:
    return (
        Quarantined.objects.filter(state=Quarantined.State.OPEN)
        .values("institution_id")
        .annotate(quarantined=Count("id"))
        .order_by()
    )


def _windows() -> Iterable[Any]:
    return (
        DiscoveryWindow.objects.filter(state=DiscoveryWindow.State.OPEN)
        .values("institution_id")
        .annotate(discovering=Count("id"))
        .order_by()
    )
