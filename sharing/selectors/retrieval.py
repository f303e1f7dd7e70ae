"""How far a study is on its way from its hospital into the archive. No patient in here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import F

from sharing.models import Series, Transfer


class Stage(StrEnum):
    """Where a study or a series is."""

    LISTED = "listed"  # known from the hospital's list; nothing was asked for
    WAITING = "waiting"  # for a place, or for its next try
    ARRIVING = "arriving"
    HELD = "held"  # in the archive, all that the hospital lists
    PARTIAL = "partial"  # in the archive, and the hospital lists more
    FAILED = "failed"  # given up, until somebody asks again


@dataclass(frozen=True)
class SeriesRetrieval:
    """One series: how many of its instances have come."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    stage: Stage
    instances: int
    expected: int | None
    size_bytes: int
    error_code: str = ""
    next_try_at: datetime | None = None


@dataclass(frozen=True)
class Retrieval:
    """A study with its series. ``expected`` is none while the hospital has not said how many there are."""

    series: tuple[SeriesRetrieval, ...]
    listed_instances: int | None

    @property
    def stage(self) -> Stage:
        stages = {each.stage for each in self.series}
        for stage in (Stage.ARRIVING, Stage.WAITING, Stage.FAILED, Stage.LISTED, Stage.PARTIAL):
            if stage in stages:
                return stage
        return Stage.HELD if stages else Stage.LISTED

    @property
    def complete(self) -> bool:
        """Whether all that the hospital lists can be read from the archive."""
        return self.stage == Stage.HELD

    @property
    def missing(self) -> bool:
        """Whether there is a series of which nothing is here, so that fetching can help."""
        here = {Stage.HELD, Stage.PARTIAL}
        return not self.series or any(each.stage not in here for each in self.series)

    @property
    def under_way(self) -> bool:
        return self.stage in (Stage.ARRIVING, Stage.WAITING)

    @property
    def instances(self) -> int:
        return sum(each.instances for each in self.series)

    @property
    def expected(self) -> int | None:
        counts = [each.expected for each in self.series]
        known = None if None in counts or not counts else sum(each or 0 for each in counts)
        return max((n for n in (known, self.listed_instances) if n is not None), default=None)

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self.series)

    @property
    def error_code(self) -> str:
        """The first thing that went wrong with what is not here."""
        return next((each.error_code for each in self.series if each.error_code), "")

    @property
    def next_try_at(self) -> datetime | None:
        return min((each.next_try_at for each in self.series if each.next_try_at), default=None)


def retrieval_of(*, study_id: int, listed_instances: int | None) -> Retrieval:
    """Two queries, whatever the number of series."""
    series = Series.objects.filter(study_id=study_id).order_by(
        F("series_number").asc(nulls_last=True), "id"
    )
    newest = {
        row.series_id: row
        for row in Transfer.objects.filter(series__study_id=study_id).order_by("pk")
    }
    return Retrieval(
        series=tuple(_series_retrieval(each, newest.get(each.pk)) for each in series),
        listed_instances=listed_instances,
    )


def _series_retrieval(series: Series, transfer: Transfer | None) -> SeriesRetrieval:
    stage = _stage(series, transfer)
    coming = transfer if stage not in (Stage.HELD, Stage.PARTIAL) else None
    expected = coming.expected_instances if coming is not None else None
    return SeriesRetrieval(
        series_instance_uid=series.series_instance_uid,
        modality=series.modality,
        series_number=series.series_number,
        stage=stage,
        instances=coming.received_instances if coming else series.instance_count,
        expected=series.listed_instances if expected is None else expected,
        size_bytes=coming.received_bytes if coming else series.size_bytes,
        error_code=coming.error_code if coming and stage != Stage.ARRIVING else "",
        next_try_at=coming.not_before
        if coming and coming.error_code and stage == Stage.WAITING
        else None,
    )


def _stage(series: Series, transfer: Transfer | None) -> Stage:
    if series.is_held:
        lacking = (series.listed_instances or 0) > series.instance_count
        return Stage.PARTIAL if lacking else Stage.HELD
    if transfer is None:
        return Stage.LISTED
    if transfer.state == Transfer.State.RUNNING:
        return Stage.ARRIVING
    return Stage.FAILED if transfer.state == Transfer.State.FAILED else Stage.WAITING
