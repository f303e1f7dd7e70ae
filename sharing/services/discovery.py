"""Ask a hospital which studies it has, window by window, and write one index row for each.

Each window keeps its place (offset) in the database, so that a crash goes on where it stopped. Paging is
bounded, and an origin that ignores ``offset`` is noticed and asked by smaller windows instead.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from common.dicom.uids import is_valid_uid
from common.dicomweb.errors import (
    OriginAnswerInvalid,
    OriginCutOff,
    OriginError,
    OriginFailed,
    OriginNotFound,
)
from common.dicomweb.origin import Origin
from common.errors import DomainError
from hospitals import selectors as hospital_selectors
from hospitals import services as hospital_services
from sharing.domain.planning import halves, retry_delay_s, windows
from sharing.errors import InstitutionNotActive, PagingUnsupported
from sharing.jobs import DISCOVER_WINDOW
from sharing.models import DiscoveryWindow, Study, Transfer
from sharing.services import transfers
from sharing.services.indexing import Row, listed_study_uid, write_index_row, write_series_rows

log = structlog.get_logger(__name__)

PAGE = 100
# An origin that ignores offset and sends so many, or as many as it was asked for, may have more.
CUSTOMARY_LIMITS = frozenset({10, 20, 25, 50, 100, 200, 250, 500, 1000})
MAX_PAGES = 100_000
WINDOW_LEASE = timedelta(minutes=5)
MAX_ATTEMPTS = 8
LOOK_BACK_DAYS = 2  # the daily window also covers yesterday: late studies and clocks that differ
DUE_EVERY = timedelta(minutes=5)
MONTH_DAYS, MONTH_EVERY = 31, timedelta(days=1)
EVERYTHING_EVERY = timedelta(days=7)
EARLIEST = date(1970, 1, 1)
# These may be about one study alone: the window goes on with the others and is read again later.
ABOUT_ONE_STUDY = (OriginAnswerInvalid, OriginCutOff, OriginFailed, OriginNotFound)
FAULTY_STUDIES = 10  # so many in one reading, and it is the hospital, not the study
Window = DiscoveryWindow


def open_window(
    *,
    institution_id: int,
    since: date | None = None,
    until: date | None = None,
    lane: Transfer.Lane = Transfer.Lane.BACKFILL,
    index_only: bool = False,
) -> list[DiscoveryWindow]:
    """Open the windows from ``since`` to ``until`` (both included), newest first.

    Without both dates it is one window over everything that the hospital lists.

    Raises:
        InstitutionNotActive: it is suspended, has left, or is not yet connected.
    """
    require_active(institution_id=institution_id)
    if since is None and until is None:
        spans: Sequence[tuple[date | None, date | None]] = [(None, None)]
    else:
        spans = windows(since or EARLIEST, until or timezone.localdate(), days=366)
    return [
        DiscoveryWindow.objects.update_or_create(
            institution_id=institution_id,
            since=start,
            until=end,
            defaults={
                "state": Window.State.OPEN,
                "offset": 0,
                "found": 0,
                "attempts": 0,
                "lane": lane,
                "index_only": index_only,
                "not_before": timezone.now(),
                "lease_until": None,
                "error_code": "",
                "error_text": "",
            },
        )[0]
        for start, end in spans
    ]


def require_active(*, institution_id: int) -> None:
    """Whether the institution may be asked for studies.

    Raises:
        InstitutionNotActive: it is suspended, has left, or is not yet connected.
    """
    pullable = {policy.institution_id for policy in hospital_selectors.list_pullable()}
    if institution_id not in pullable:
        raise InstitutionNotActive


def open_due_windows() -> int:
    """Open the windows that are due again and hand all due windows to workers. Returns how many.

    Today's studies every five minutes; the last month daily, for what comes late; everything that the
    hospital lists weekly (a folder: every five minutes), where a person has asked for everything once.
    """
    now = timezone.now()
    today = timezone.localdate()
    for policy in hospital_selectors.list_pullable():
        if policy.slots(now) == 0:
            continue
        for days, every in ((LOOK_BACK_DAYS, DUE_EVERY), (MONTH_DAYS, MONTH_EVERY)):
            _open_again(policy.institution_id, today - timedelta(days=days - 1), today, every)
        everything = DiscoveryWindow.objects.filter(
            institution_id=policy.institution_id, since=None, state=Window.State.DONE
        )
        every = DUE_EVERY if policy.kind == "folder" else EVERYTHING_EVERY
        for window in everything.filter(updated_at__lt=now - every):
            open_window(institution_id=policy.institution_id, index_only=window.index_only)
    due = DiscoveryWindow.objects.filter(state=Window.State.OPEN, not_before__lte=now).filter(
        Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    )
    ids = list(due.order_by("lane", "not_before").values_list("pk", flat=True)[:100])
    for pk in ids:
        DISCOVER_WINDOW.enqueue(window_id=pk)
    return len(ids)


def _open_again(institution_id: int, since: date, until: date, every: timedelta) -> None:
    read = DiscoveryWindow.objects.filter(
        institution_id=institution_id,
        since=since,
        until=until,
        updated_at__gt=timezone.now() - every,
    )
    if not read.exists():
        open_window(
            institution_id=institution_id, since=since, until=until, lane=Transfer.Lane.TODAY
        )


def run_window(*, window_id: int) -> DiscoveryWindow | None:
    """Read one window to its end; None when another worker has it.

    An error is written into the window, which is tried again later if that may help; it is not raised.
    """
    window = _claim(window_id)
    if window is None:
        return None
    try:
        with hospital_services.open_origin(institution_id=window.institution_id) as origin:
            _read(origin, window)
    except DomainError as error:
        _put_back(window, error)
    else:
        hospital_services.record_origin_success(institution_id=window.institution_id)
    return window


def index_study(
    *, institution_id: int, study_instance_uid: str, lane: Transfer.Lane, again: bool = True
) -> int:
    """Ask for one study by its UID and queue its series. Returns how many studies were found (0 or 1)."""
    with hospital_services.open_origin(institution_id=institution_id) as origin:
        rows = origin.search_studies(
            since=None, until=None, study_instance_uid=study_instance_uid, limit=PAGE, offset=0
        )
        found = [row for row in rows if listed_study_uid(row) == study_instance_uid][:1]
        for row in found:
            take_study(origin, institution_id=institution_id, row=row, lane=lane, again=again)
    return len(found)


def list_series(*, study: Study, within_s: float) -> int:
    """Ask the hospital which series a study of the index has, for a reader; queues nothing. Returns how many."""
    try:
        with hospital_services.open_origin(
            institution_id=study.institution_id, within_s=within_s
        ) as origin:
            listed = origin.search_series(study_instance_uid=study.study_instance_uid)
    except OriginError as error:
        hospital_services.record_origin_failure(institution_id=study.institution_id, error=error)
        raise
    write_series_rows(study=study, rows=listed, again=False)
    hospital_services.record_origin_success(institution_id=study.institution_id)
    return len(listed)


def take_study(
    origin: Origin,
    *,
    institution_id: int,
    row: Row,
    lane: Transfer.Lane,
    again: bool = False,
    index_only: bool = False,
) -> Study | None:
    """Write the index row of a study that the hospital lists, and queue the series that differ.

    A study that is archived with as many instances as the hospital lists is left alone.
    """
    study = write_index_row(institution_id=institution_id, row=row)
    if study is None or index_only:
        return study
    unchanged = (
        study.state == Study.State.ARCHIVED
        and study.listed_instances is not None
        and study.listed_instances <= study.instance_count
    )
    if unchanged and not again:
        return study
    listed = origin.search_series(study_instance_uid=study.study_instance_uid)
    ids = write_series_rows(study=study, rows=listed, again=again)
    transfers.request_transfers(
        series_ids=ids, institution_id=institution_id, lane=lane, asked_by="discovery", again=again
    )
    return study


@transaction.atomic
def _claim(window_id: int) -> DiscoveryWindow | None:
    now = timezone.now()
    window = (
        DiscoveryWindow.objects.select_for_update(skip_locked=True)
        .filter(pk=window_id, state=Window.State.OPEN)
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now))
        .first()
    )
    if window is not None:
        window.lease_until = now + WINDOW_LEASE
        window.attempts += 1
        window.save()
    return window


def _read(origin: Origin, window: DiscoveryWindow) -> None:
    seen: set[str] = set()
    faults: list[OriginError] = []
    dates_ignored = False
    for _ in range(MAX_PAGES):
        page = origin.search_studies(
            since=window.since, until=window.until, limit=PAGE, offset=window.offset
        )
        if page and not any(is_valid_uid(listed_study_uid(row)) for row in page):
            raise OriginAnswerInvalid("The answer to a search names no study.")
        dates_ignored = dates_ignored or page.filter_ignored
        fresh = [row for row in page if listed_study_uid(row) not in seen]
        for row in fresh:
            seen.add(listed_study_uid(row))
            faults += _take(origin, window, row)
            if len(faults) >= FAULTY_STUDIES:
                raise faults[-1]
        window.found += len(fresh)
        window.offset += page.received
        window.lease_until = timezone.now() + WINDOW_LEASE
        window.save()
        if page.offset_ignored and (page.received == PAGE or page.received in CUSTOMARY_LIMITS):
            _split(window, dates_ignored=dates_ignored)
        if page.is_last:
            break
    if faults:
        window.offset = 0
        raise faults[0]
    window.state = Window.State.DONE
    window.lease_until = None
    window.save()


def _take(origin: Origin, window: DiscoveryWindow, row: Row) -> list[OriginError]:
    """Take one study of a page; the error, if the hospital fails at this one."""
    try:
        take_study(
            origin,
            institution_id=window.institution_id,
            row=row,
            lane=Transfer.Lane(window.lane),
            index_only=window.index_only,
        )
    except ABOUT_ONE_STUDY as error:
        log.warning("discovery.study_failed", window_id=window.pk, code=error.code)
        return [error]
    return []


def _split(window: DiscoveryWindow, *, dates_ignored: bool) -> None:
    """The origin ignores offset, and its answer may be cut: ask by smaller windows that fit one answer.

    Raises:
        PagingUnsupported: there is no smaller window, or it would be answered in the same way.
    """
    if dates_ignored:
        raise PagingUnsupported(
            "The search ignores offset and dates: no more than one answer of it can be had.",
            retryable=False,
        )
    if window.since is None or window.until is None:
        parts: Sequence[tuple[date, date]] = windows(EARLIEST, timezone.localdate(), days=366)
    else:
        parts = halves(window.since, window.until) or ()
        if not parts:
            raise PagingUnsupported(
                f"The search ignores offset and {window.since} holds as many studies as one answer, or more; "
                "raise the hospital's result limit.",
                retryable=False,
            )
    for since, until in parts:
        for child in open_window(
            institution_id=window.institution_id,
            since=since,
            until=until,
            lane=Transfer.Lane(window.lane),
            index_only=window.index_only,
        ):
            DISCOVER_WINDOW.enqueue(window_id=child.pk)


def _put_back(window: DiscoveryWindow, error: DomainError) -> None:
    if isinstance(error, OriginError):
        hospital_services.record_origin_failure(institution_id=window.institution_id, error=error)
    again = getattr(error, "retryable", False) and window.attempts < MAX_ATTEMPTS
    delay = retry_delay_s(attempts=window.attempts, jitter=random.random())  # noqa: S311 - spread, not secrecy
    window.state = Window.State.OPEN if again else Window.State.FAILED
    window.not_before = timezone.now() + timedelta(seconds=delay)
    window.lease_until = None
    window.error_code = error.code[:64]
    window.error_text = error.message[:500]
    window.save()
