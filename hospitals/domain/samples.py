"""Choosing what to ask a probed origin from what it listed. Plain data in, plain data out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DicomJson = Mapping[str, Any]

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+")
# (0002,0010) of an explicit little endian meta header (PS3.10 §7.1): tag, VR, 2-byte length.
_SYNTAX = re.compile(rb"\x02\x00\x10\x00UI(..)", re.DOTALL)
# Native syntaxes: an origin may have made them on the way out.
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"})


def value(result: DicomJson, tag: str) -> str:
    """The first value of an attribute as text; of a person name its alphabetic group, or the
    ideographic one where there is no other."""
    element = result.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    first = (
        values[0] if isinstance(values, Sequence) and not isinstance(values, str) and values else ""
    )
    if isinstance(first, Mapping):
        first = first.get("Alphabetic") or first.get("Ideographic") or ""
    return str(first)


def han_text(result: DicomJson, tag: str) -> str:
    """The first run of Han characters in any group of a person name; empty when there is none."""
    element = result.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    match = _HAN.search(str(values or ""))
    return match.group() if match else ""


def with_value(results: Iterable[DicomJson], tag: str, *, least: int = 1) -> DicomJson | None:
    """The first result whose attribute has at least so many plain characters."""
    for result in results:
        text = value(result, tag)
        if len(text) >= least and not set(text) & set("*?\\"):
            return result
    return None


def holds(results: Iterable[DicomJson], tag: str, text: str) -> bool:
    """Whether one of the results has this value."""
    return any(value(result, tag) == text for result in results)


def transfer_syntax(*, content_type: str, head: bytes) -> str:
    """The transfer syntax of an instance by its meta header, else by the part's Content-Type."""
    match = _SYNTAX.search(head[:4096])
    if match:
        start, length = match.end(), int.from_bytes(match.group(1), "little")
        return head[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
    declared = re.search(r'transfer-syntax="?([0-9.]+)', content_type)
    return declared.group(1) if declared else ""


def is_stored_syntax(*, returned: str, available: str) -> bool | None:
    """Whether an origin answered ``transfer-syntax=*`` with what it holds.

    By Available Transfer Syntax UID (0008,3002) where the origin tells it. A compressed instance is
    held so, for no origin compresses unasked. A native one tells nothing.
    """
    if available:
        return returned == available
    return True if returned and returned not in NATIVE else None
