"""What other modules are told of an institution: small, frozen, without the table behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hospitals.domain.abilities import Abilities
from hospitals.domain.circuit import is_open
from hospitals.domain.quiet import is_quiet


@dataclass(frozen=True)
class PullPolicy:
    """How gently an institution's archive may be asked, now."""

    institution_id: int
    code: str
    name: str
    state: str
    kind: str
    concurrency: int
    bandwidth_bytes_per_s: int | None
    quiet_from: dt.time | None
    quiet_until: dt.time | None
    failures: int
    open_until: dt.datetime | None
    abilities: Abilities | None
    character_set: str

    def is_quiet(self, local: dt.datetime | dt.time) -> bool:
        """Whether the hospital asked for quiet at this time of its own clock."""
        at = local.time() if isinstance(local, dt.datetime) else local
        return is_quiet(quiet_from=self.quiet_from, quiet_until=self.quiet_until, at=at)

    def circuit_open(self, now: dt.datetime) -> bool:
        """Whether the endpoint is left alone after repeated failures."""
        return is_open(open_until=self.open_until, now=now)

    def slots(self, now: dt.datetime) -> int:
        """How many requests may run at once: none while the circuit is open, one to try again when
        it has just closed, else the institution's cap."""
        if self.state != "active" or self.circuit_open(now):
            return 0
        return 1 if self.open_until is not None else self.concurrency

    def may_pull(self, *, now: dt.datetime, local: dt.datetime | dt.time) -> bool:
        """Whether a planned pull may start; work on demand looks at ``slots`` only."""
        return self.slots(now) > 0 and not self.is_quiet(local)


@dataclass(frozen=True)
class InstitutionFacts:
    """What the archive keeps about an institution, so that the index can be rebuilt from it alone."""

    code: str
    name: str
    credit_code: str
    level: str
    kind: str
    region_code: str
    region_name: str
    consortium_code: str = ""
    consortium_name: str = ""
    character_set: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it is stored in the archive."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> InstitutionFacts:
        """Read back; unknown names are left out."""
        known = {name.name for name in fields(cls)}
        return cls(**{name: str(value) for name, value in stored.items() if name in known})
