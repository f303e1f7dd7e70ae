"""A study or a series read while it arrives: what is archived from the archive, the rest as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from common.archive.documents import InstanceEntry
from common.errors import NotFound
from sharing import selectors
from sharing.errors import (
    FetchFailed,
    FetchNotBegun,
    HospitalAtCap,
    HospitalAway,
    LeaseLost,
    NotPulledYet,
    ReadBrokenOff,
)
from sharing.models import Series, Transfer
from sharing.selectors import SeriesPlace, StudyPlace
from sharing.services.on_demand.asking import known_series, start
from sharing.services.on_demand.feeds import Feed
from sharing.services.on_demand.fetches import Fetch, failure_of
from sharing.services.on_demand.places import reader_place

if TYPE_CHECKING:
    from common.accounts.models import User

PAUSE_S = (
    0.1  # between looks at the rows, at first; a feed of this process wakes its readers itself
)
LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True)
class Arriving:
    """One instance that arrives at this moment; its bytes are read from the spool."""

    series_instance_uid: str
    entry: InstanceEntry
    feed: Feed

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they were sent."""
        return self.feed.read(self.entry)


@dataclass(frozen=True)
class Archived:
    """A series that is in the archive, but for instances that were given out while they arrived."""

    place: SeriesPlace
    without: frozenset[str] = frozenset()


class Reading:
    """The series of a study in order, for one reader; iterate once, then ``close``.

    ``missing`` names the series that the hospital lists and will not send: what is given is not whole.
    """

    def __init__(
        self,
        *,
        place: StudyPlace,
        series: list[Series],
        fetch: Fetch | None,
        release: Callable[[], None],
    ) -> None:
        self.place = place
        self.missing: list[str] = []
        self._series = series
        self._fetch = fetch
        self._release = release
        self._feed: Feed | None = None

    def __iter__(self) -> Iterator[Arriving | Archived]:
        """Ends only when everything was given.

        Raises:
            ReadBrokenOff: the hospital failed in the middle.
        """
        for series in self._series:
            if series.series_instance_uid not in self.missing:
                yield from self._one(series)

    def close(self) -> None:
        """The reader has gone or has all; the pull goes on."""
        self._leave()
        self._release()

    def await_beginning(self) -> None:
        """Return when the first missing series has begun to arrive.

        Raises:
            NotPulledYet: why it has not, within ``ON_DEMAND_WAIT_S``.
        """
        until = time.monotonic() + settings.ON_DEMAND_WAIT_S
        for series in self._series:
            if series.is_held:
                continue
            try:
                self._await_one(series, until)
            except NotPulledYet as error:
                # What the hospital has given up for good must not hide what is here.
                if not error.facts.get("final") or len(self._series) == 1:
                    raise
                self.missing.append(series.series_instance_uid)
                continue
            return
        if len(self.missing) == len(self._series):
            raise FetchFailed

    def _await_one(self, series: Series, until: float) -> None:
        for _ in _pauses():
            feed = self._fetch.feed(series.pk) if self._fetch else None
            if feed is not None and feed.count:
                return
            place = settled_place(self.place, series)
            if place is not None:
                self._require_whole(place, series)
                return
            if feed is None or feed.ended:
                self._require_hope(series)
            if time.monotonic() > until:
                delayed = self._fetch.error(series.pk) if self._fetch else None
                raise delayed.again() if isinstance(delayed, NotPulledYet) else FetchNotBegun()

    def _require_hope(self, series: Series) -> None:
        """The series is not here and does not arrive here: is anybody still about to pull it?"""
        row = Transfer.objects.filter(series_id=series.pk).order_by("-pk").first()
        if row is not None and row.state == Transfer.State.RUNNING:
            return
        error = self._fetch.error(series.pk) if self._fetch else None
        if isinstance(error, (FetchFailed, HospitalAway)):
            raise error.again()
        if row is not None and row.error_code and row.state in ("waiting", "failed"):
            tried = self._fetch is not None and self._fetch.is_settled(series.pk)
            if row.state == Transfer.State.FAILED or (
                tried and not isinstance(error, HospitalAtCap)
            ):
                raise failure_of(row)

    def _one(self, series: Series) -> Iterator[Arriving | Archived]:
        given: set[str] = set()
        until = time.monotonic() + settings.ON_DEMAND_WAIT_S
        for _ in _pauses():
            feed = self._fetch.feed(series.pk) if self._fetch else None
            place = settled_place(self.place, series)
            if place is not None:
                try:
                    self._require_whole(place, series)
                except FetchFailed as error:
                    raise ReadBrokenOff(f"{ReadBrokenOff().message} ({error.message})") from error
                yield Archived(place, frozenset(given))
                return
            if feed is not None and feed.join():
                self._feed = feed
                for entry in feed.entries():
                    if entry.sop_instance_uid not in given:
                        given.add(entry.sop_instance_uid)
                        yield Arriving(series.series_instance_uid, entry, feed)
                self._leave()
                if feed.error is None:
                    return
                if not isinstance(feed.error, LeaseLost):
                    raise ReadBrokenOff(f"{ReadBrokenOff().message} ({feed.error.message})")
            until = self._require_arrival(series, until)

    def _require_arrival(self, series: Series, until: float) -> float:
        """Until when it is waited for further: as long as a worker is at it, and then some.

        Raises:
            ReadBrokenOff: nobody is.
        """
        try:
            self._require_hope(series)
        except NotPulledYet as error:
            raise ReadBrokenOff(f"{ReadBrokenOff().message} ({error.message})") from error
        running = Transfer.objects.filter(
            series_id=series.pk, state=Transfer.State.RUNNING, lease_until__gt=timezone.now()
        )
        if running.exists():
            return time.monotonic() + settings.ON_DEMAND_WAIT_S
        if time.monotonic() > until:
            raise ReadBrokenOff
        return until

    def _require_whole(self, place: SeriesPlace, series: Series) -> None:
        """A series that was not here when the reading began came whole, or is no part of a whole answer.

        Raises:
            FetchFailed: fewer instances came than the hospital lists.
        """
        if not series.is_held and place.state == Series.State.INCOMPLETE:
            raise FetchFailed("The hospital lists more instances of a series than it sent.")

    def _leave(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.leave()


def open_study(*, actor: User, place: StudyPlace) -> Reading | None:
    """Fetch what is missing of a study and read it while it comes; None when nothing is missing.

    Raises:
        NotPulledYet: it does not begin; one of its kinds says why, and when to ask again.
    """
    return _open(actor, place, known_series(place.study_id))


def open_series(*, actor: User, place: StudyPlace, series_instance_uid: str) -> Reading | None:
    """As ``open_study``, of one series.

    Raises:
        NotFound: neither the index nor the hospital knows it.
    """
    return _open(actor, place, [find_series(place, series_instance_uid)])


def wait_for_series(*, actor: User, place: StudyPlace, series_instance_uid: str) -> SeriesPlace:
    """Fetch one series and wait until it is in the archive, ``ON_DEMAND_WAIT_S`` at most; the pull goes on.

    Raises:
        NotPulledYet, NotFound: as above.
    """
    series = find_series(place, series_instance_uid)
    places, _missing = _wait(actor, place, [series])
    return places[0]


def wait_for_study(*, actor: User, place: StudyPlace) -> tuple[list[SeriesPlace], list[str]]:
    """As ``wait_for_series``, of every series that the hospital lists; and which it will not send."""
    return _wait(actor, place, known_series(place.study_id))


def lacks_series(study_id: int) -> bool:
    """Whether nothing is here of at least one series that the hospital lists, or of the whole study."""
    series = Series.objects.filter(study_id=study_id)
    return series.filter(current=None, newest_received=0).exists() or not series.exists()


def find_series(place: StudyPlace, series_instance_uid: str) -> Series:
    """One series of a study, asked of the hospital where it is not known yet.

    Raises:
        NotFound: neither the index nor the hospital knows it.
    """
    for series in known_series(place.study_id):
        if series.series_instance_uid == series_instance_uid:
            return series
    raise NotFound("There is no such series.")


def settled_place(study: StudyPlace, series: Series) -> SeriesPlace | None:
    """Where a series is in the archive, if it is; one that has just come is read back and counted first."""
    place = selectors.place_of_series(study, series.pk)
    if place is not None and not series.is_held and place.state == Series.State.STORED:
        running = Transfer.objects.filter(series_id=series.pk, state=Transfer.State.RUNNING)
        if running.exists():
            return None
    return place


def _open(actor: User, place: StudyPlace, series: list[Series]) -> Reading | None:
    if all(each.is_held for each in series):
        return None
    waiting = reader_place()
    try:
        reading = _begin(actor, place, series, waiting.close)
    except BaseException:
        waiting.close()
        raise
    return reading


def _begin(
    actor: User, place: StudyPlace, series: list[Series], release: Callable[[], None]
) -> Reading:
    try:
        fetch = start(actor=actor, place=place, series=series)
    except HospitalAway as error:
        # Of a hospital that is asked no more, what is here is all there will be.
        if not error.facts.get("final") or not any(each.is_held for each in series):
            raise
        reading = Reading(place=place, series=series, fetch=None, release=release)
        reading.missing = [each.series_instance_uid for each in series if not each.is_held]
        return reading
    reading = Reading(place=place, series=series, fetch=fetch, release=release)
    reading.await_beginning()
    return reading


def _wait(
    actor: User, place: StudyPlace, series: list[Series]
) -> tuple[list[SeriesPlace], list[str]]:
    with reader_place() as waiting:
        reading = _begin(actor, place, series, waiting.close)
        until = time.monotonic() + settings.ON_DEMAND_WAIT_S
        found = []
        for each in series:
            if each.series_instance_uid not in reading.missing:
                found.append(_wait_for(reading, each, until))
        return found, reading.missing


def _wait_for(reading: Reading, series: Series, until: float) -> SeriesPlace:
    for _ in _pauses():
        place = settled_place(reading.place, series)
        if place is not None:
            return place
        feed = reading._fetch.feed(series.pk) if reading._fetch else None
        if feed is None or feed.ended:
            reading._require_hope(series)
        if time.monotonic() > until:
            break
    raise FetchNotBegun("The series is on its way and not here yet.")


def _pauses() -> Iterator[None]:
    """Now, and again after growing pauses."""
    pause_s = PAUSE_S
    while True:
        yield
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.3, LONGEST_PAUSE_S)
