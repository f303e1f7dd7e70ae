"""Is what arrived what the hospital lists? (DESIGN section 3, step 5)"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class ComparedBy(StrEnum):
    """What the hospital's side of the comparison was."""

    UIDS = "uids"
    COUNT = "count"
    NOTHING = ""


@dataclass(frozen=True)
class Listing:
    """What the hospital lists of one series: the UIDs of its instances, their count, both or nothing."""

    uids: frozenset[str] | None = None
    count: int | None = None

    @property
    def compared_by(self) -> ComparedBy:
        if self.uids is not None:
            return ComparedBy.UIDS
        return ComparedBy.NOTHING if self.count is None else ComparedBy.COUNT

    @property
    def expected(self) -> int | None:
        """The number of instances that the hospital claims; the larger where its answers differ."""
        listed = [
            n for n in (self.count, None if self.uids is None else len(self.uids)) if n is not None
        ]
        return max(listed, default=None)


@dataclass(frozen=True)
class Verdict:
    """The comparison of one series. Instances that the hospital did not list are kept and named."""

    complete: bool
    missing: frozenset[str]
    missing_count: int
    unlisted_count: int


def compare(*, listing: Listing, held: Collection[str]) -> Verdict:
    """Compare the UIDs that the archive holds with the hospital's list.

    Nothing listed and nothing held is not complete: an empty series proves nothing.
    """
    have = frozenset(held)
    missing = (listing.uids or frozenset()) - have
    missing_count = max(len(missing), (listing.expected or 0) - len(have))
    unlisted = len(have - listing.uids) if listing.uids is not None else 0
    return Verdict(
        complete=bool(have) and missing_count == 0,
        missing=missing,
        missing_count=missing_count,
        unlisted_count=unlisted,
    )
