"""Two headers of one instance side by side: which attributes differ, and how. Pixels and other bulk are not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 200
_LONGEST = 200


@dataclass(frozen=True)
class Difference:
    """One attribute that is not the same. ``path`` leads through sequences: tags and item numbers."""

    path: str
    ours: str
    theirs: str

    @property
    def tag(self) -> str:
        """The tag of the attribute itself."""
        return self.path.rsplit(".", 1)[-1]


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """The attributes of two data sets in DICOM JSON that differ, in their order, ``MOST`` at most."""
    found: list[Difference] = []
    for one in _walk(ours, theirs, ""):
        found.append(one)
        if len(found) == MOST:
            break
    return found


def _walk(ours: Mapping[str, Any], theirs: Mapping[str, Any], at: str) -> Iterator[Difference]:
    for tag in sorted(set(ours) | set(theirs)):
        mine, other = ours.get(tag), theirs.get(tag)
        if mine == other:
            continue
        if _is_sequence(mine) and _is_sequence(other):
            yield from _items(mine, other, f"{at}{tag}")
        elif (said := _text(mine)) != (told := _text(other)):
            yield Difference(f"{at}{tag}", said, told)


def _items(mine: Any, other: Any, at: str) -> Iterator[Difference]:
    ours, theirs = mine.get("Value", []), other.get("Value", [])
    for number in range(max(len(ours), len(theirs))):
        first = ours[number] if number < len(ours) else {}
        second = theirs[number] if number < len(theirs) else {}
        yield from _walk(first, second, f"{at}[{number + 1}].")


def _is_sequence(element: Any) -> bool:
    return bool(element) and element.get("vr") == "SQ"


def _text(element: Any) -> str:
    """A value as text. Of bulk only that there is some: where it lies is no difference of content."""
    if element is None:
        return "–"
    if "BulkDataURI" in element or "InlineBinary" in element:
        return "…"
    if _is_sequence(element):
        return f"[{len(element.get('Value', []))}]"
    return "\\".join(_one(value) for value in element.get("Value", []))[:_LONGEST]


def _one(value: Any) -> str:
    if isinstance(value, Mapping):  # a person name (PS3.18 F.2.2)
        return "=".join(
            str(value.get(name, "")) for name in ("Alphabetic", "Ideographic", "Phonetic")
        ).rstrip("=")
    return str(value)
