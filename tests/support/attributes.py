"""Data sets in the DICOM JSON model compared attribute by attribute with another implementation's answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Attributes = Mapping[str, Any]
PIXEL_DATA = "7FE00010"
TRAILING_PADDING = "FFFCFFFC"
_BYTES = ("InlineBinary", "BulkDataURI")


@dataclass(frozen=True)
class Difference:
    """One attribute that two implementations answer differently; None where one does not have it."""

    path: str  # TAG or TAG.item.TAG
    ours: Any
    theirs: Any

    @property
    def tag(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def is_private(self) -> bool:
        return any(int(step[:4], 16) % 2 for step in self.path.split(".") if len(step) == 8)

    def __str__(self) -> str:
        return f"{self.path}: ours {str(self.ours)[:90]} | theirs {str(self.theirs)[:90]}"


@dataclass(frozen=True)
class Reviewed:
    """A difference that was looked at: why it is right, by which clause of the standard."""

    clause: str
    applies: Callable[[Difference], bool]


def differences(ours: Attributes, theirs: Attributes, at: str = "") -> Iterator[Difference]:
    """Every attribute that differs, items of sequences one by one. File meta and group lengths are not compared."""
    for tag in sorted({*ours, *theirs}):
        if tag.startswith("0002") or tag.endswith("0000"):
            continue
        mine, other = ours.get(tag), theirs.get(tag)
        if mine == other:
            continue
        if mine is None or other is None or mine.get("vr") != other.get("vr"):
            yield Difference(at + tag, mine, other)
        elif mine["vr"] == "SQ" and len(items(mine)) == len(items(other)):
            for number, (one, two) in enumerate(zip(items(mine), items(other), strict=True)):
                yield from differences(one, two, f"{at}{tag}.{number}.")
        elif not (_holds_bytes(mine) and _holds_bytes(other) and _one_by_reference(mine, other)):
            yield Difference(at + tag, mine, other)


def items(attribute: Mapping[str, Any] | None) -> list[Any]:
    found: list[Any] = (attribute or {}).get("Value", [])
    return found


def _holds_bytes(attribute: Mapping[str, Any]) -> bool:
    return any(name in attribute for name in _BYTES)


def _one_by_reference(*attributes: Mapping[str, Any]) -> bool:
    """Which values stand by reference is each origin's choice (PS3.18 F.2.6)."""
    return any("BulkDataURI" in each for each in attributes)


def unreviewed(found: Iterator[Difference], reviewed: tuple[Reviewed, ...]) -> list[Difference]:
    """What no reviewed rule explains."""
    return [each for each in found if not any(rule.applies(each) for rule in reviewed)]


def vr(attribute: Any) -> str:
    return str((attribute or {}).get("vr", ""))


def texts(attribute: Any) -> list[str]:
    """Its values without the padding and the empty components that carry no meaning."""
    return [_plain(each) for each in items(attribute)]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        groups = (value.get(name, "") for name in ("Alphabetic", "Ideographic", "Phonetic"))
        return "=".join(group.rstrip("^ ") for group in groups).rstrip("=")
    return "" if value is None else str(value).rstrip()


def same_number(ours: Any, theirs: Any, *, relative: float, absolute: float = 0.0) -> bool:
    """Whether the values are the same numbers within what a printed form keeps."""
    try:
        pairs = [
            (float(one), float(two)) for one, two in zip(items(ours), items(theirs), strict=True)
        ]
    except (TypeError, ValueError):
        return False
    return all(math.isclose(*pair, rel_tol=relative, abs_tol=absolute) for pair in pairs)
