"""Who answered a federated query, and who did not and why: a partial answer never looks complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What came of asking one hospital. Only the first is a whole answer."""

    ANSWERED = "answered"
    CUT = "cut"  # it answered, and holds more than it gave or than is taken at once
    FAILED = "failed"
    LATE = "late"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True)
class HospitalAnswer:
    """One hospital of a federated query. No patient is in here.

    ``known_as_of``: until when the index knows the hospital's list, which is what stands in for its answer.
    """

    code: str
    name: str
    outcome: Outcome
    reason: str = ""  # an error code, with words in common.ui.words
    answered_at: datetime | None = None
    took_ms: int | None = None
    received: int = 0  # results that it sent
    results: int = 0  # of which fit the question
    new: int = 0  # of which the index did not have
    known_as_of: datetime | None = None


@dataclass(frozen=True)
class Coverage:
    """All hospitals that the caller may see, each with its outcome."""

    id: str
    asked_at: datetime
    finished_at: datetime
    hospitals: tuple[HospitalAnswer, ...] = ()

    @property
    def answered(self) -> int:
        """How many gave a whole answer."""
        return sum(each.outcome == Outcome.ANSWERED for each in self.hospitals)

    @property
    def complete(self) -> bool:
        """Whether every hospital did."""
        return bool(self.hospitals) and self.answered == len(self.hospitals)

    @property
    def missing(self) -> list[HospitalAnswer]:
        """Those that did not."""
        return [each for each in self.hospitals if each.outcome != Outcome.ANSWERED]

    def to_json(self) -> dict[str, Any]:
        """As it is kept and answered."""
        return {
            "id": self.id,
            "complete": self.complete,
            "asked": len(self.hospitals),
            "answered": self.answered,
            "asked_at": self.asked_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "hospitals": [_answer_to_json(each) for each in self.hospitals],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Coverage:
        """Read back."""
        return cls(
            id=kept["id"],
            asked_at=datetime.fromisoformat(kept["asked_at"]),
            finished_at=datetime.fromisoformat(kept["finished_at"]),
            hospitals=tuple(_answer_from_json(each) for each in kept["hospitals"]),
        )


_INSTANTS = ("answered_at", "known_as_of")


def _answer_to_json(answer: HospitalAnswer) -> dict[str, Any]:
    kept = asdict(answer)
    return kept | {name: kept[name].isoformat() if kept[name] else None for name in _INSTANTS}


def _answer_from_json(kept: Mapping[str, Any]) -> HospitalAnswer:
    values = {each.name: kept[each.name] for each in fields(HospitalAnswer)}
    for name in _INSTANTS:
        values[name] = datetime.fromisoformat(values[name]) if values[name] else None
    return HospitalAnswer(**values | {"outcome": Outcome(values["outcome"])})
