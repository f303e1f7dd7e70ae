"""What the shared archive pulls from: a hospital's studies, whatever stands behind them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from common.dicomweb.multipart import IncomingPart

DicomJson = dict[str, Any]


class SearchPage(list[DicomJson]):
    """One page of results that fit the question, with what the origin really sent.

    ``received``: how many results the origin sent (the next offset is the old one plus this); the page itself
    may be shorter, because what lies outside the question is left out. ``received == 0``: no more.
    ``offset_ignored``: the origin sent its first page again, so paging must stop with what it has.
    ``filter_ignored``: the origin sent results outside the question.
    """

    def __init__(
        self,
        results: list[DicomJson],
        *,
        received: int | None = None,
        offset_ignored: bool = False,
        filter_ignored: bool = False,
    ) -> None:
        super().__init__(results)
        self.received = len(results) if received is None else received
        self.offset_ignored = offset_ignored
        self.filter_ignored = filter_ignored

    @property
    def is_last(self) -> bool:
        """Whether asking for the next page is pointless."""
        return self.offset_ignored or self.received == 0


class Matches(list[DicomJson]):
    """Results of a search by keys. ``cut``: the origin has, or may have, more."""

    def __init__(self, results: list[DicomJson], *, cut: bool = False) -> None:
        super().__init__(results)
        self.cut = cut


class Origin(Protocol):
    """A hospital's archive, read only. Every failure is an ``OriginError`` (common.dicomweb.errors)."""

    def search_studies(
        self,
        *,
        since: dt.date | None,
        until: dt.date | None,
        study_instance_uid: str | None = None,
        limit: int,
        offset: int,
    ) -> SearchPage:
        """One page of studies with a Study Date from ``since`` to ``until``, both included."""
        ...

    def match_studies(self, *, filters: Mapping[str, str], most: int, until: float) -> Matches:
        """Studies by whatever keys, for somebody who waits: ``most`` at most, until this monotonic instant.

        The caller sieves: origins match as they please, and a folder matches nothing.
        """
        ...

    def search_series(self, *, study_instance_uid: str) -> list[DicomJson]:
        """All series of a study."""
        ...

    def search_instances(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> list[DicomJson]:
        """All instances of a series."""
        ...

    def retrieve_series(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> AbstractContextManager[Iterator[IncomingPart]]:
        """The series' instances as they are stored, one part each, in constant memory."""
        ...

    def retrieve_instance(
        self, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> AbstractContextManager[Iterator[IncomingPart]]:
        """One instance as it is stored."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


def first_value(result: DicomJson, tag: str) -> Any:
    """The first value of an attribute in the DICOM JSON Model; None when absent, empty or not well-formed."""
    element = result.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
