"""What an origin was measured to be able to do. ``None`` means: could not be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Abilities:
    """The result of one probe, as stored and as the puller uses it.

    ``transfer_syntaxes`` are those that came back when ``transfer-syntax=*`` was asked for;
    ``stored_syntax`` says whether they are what the origin holds (PS3.18 §8.7.3.5.2).
    """

    limit: bool | None = None
    offset: bool | None = None
    wildcards: bool | None = None
    percent_encoded: bool | None = None
    han_values: bool | None = None
    includefield: bool | None = None
    metadata: bool | None = None
    stored_syntax: bool | None = None
    any_syntax: bool | None = None  # accepts transfer-syntax=* at all
    transfer_syntaxes: tuple[str, ...] = ()
    latency_ms: Mapping[str, int] = field(default_factory=dict)
    server: str = ""
    studies_seen: int = 0
    # Folder hospitals: how many files, and which of them are broken and why (the first of them).
    files: int | None = None
    broken_files: int | None = None
    broken: tuple[tuple[str, str], ...] = ()
    # Of the way there, not of the origin: our credentials go over plain http.
    credentials_in_clear: bool = False
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self) | {"latency_ms": dict(self.latency_ms)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Abilities:
        """Read back; names of an older or newer release are left out, not refused."""
        known = {name.name for name in fields(cls)}
        values = {name: value for name, value in stored.items() if name in known}
        for name in ("transfer_syntaxes", "notes"):
            if name in values:
                values[name] = tuple(values[name])
        if "broken" in values:
            values["broken"] = tuple((str(name), str(why)) for name, why in values["broken"])
        return cls(**values)
