"""Structured reports as text: the content tree, one line for each item (PS3.3 C.17.3, 2024e)."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

from common.dicomweb.render_source import Attributes, values_of

_CONTENT, _VALUE_TYPE, _CONCEPT_NAME = "0040A730", "0040A040", "0040A043"
_CODE_MEANING = "00080104"
_MOST_DEEP, _MOST_LINES = 32, 20_000
# Value types whose value is one attribute (PS3.3 Table C.17.3-7 and C.18).
_VALUES = {
    "TEXT": "0040A160",
    "DATE": "0040A121",
    "TIME": "0040A122",
    "DATETIME": "0040A120",
    "PNAME": "0040A123",
    "UIDREF": "0040A124",
}

Line = tuple[int, str, str]  # depth, name of the concept, value


def is_report(attributes: Attributes) -> bool:
    """Whether the instance is a content tree."""
    return _CONTENT in attributes and _first(attributes, _VALUE_TYPE) == "CONTAINER"


def report_lines(attributes: Attributes) -> Iterator[Line]:
    """The tree from its root, what contains before what it contains; cut where it is endless."""
    waiting: list[tuple[int, Attributes]] = [(0, attributes)]
    told = 0
    while waiting and told < _MOST_LINES:
        depth, item = waiting.pop()
        told += 1
        yield depth, _meaning(item, _CONCEPT_NAME), _value(item)
        if depth < _MOST_DEEP:
            below = [each for each in values_of(item, _CONTENT) if isinstance(each, Mapping)]
            waiting += [(depth + 1, each) for each in reversed(below)]


def report_text(attributes: Attributes) -> bytes:
    """The report as plain text."""
    lines = (
        f"{'  ' * depth}{name}{': ' if name and value else ''}{value}".rstrip()
        for depth, name, value in report_lines(attributes)
    )
    return ("\n".join(lines) + "\n").encode()


def report_html(attributes: Attributes) -> bytes:
    """The report as a page without style or script; all that the report says is escaped."""
    lines = list(report_lines(attributes))
    title = html.escape(lines[0][1] or "Report")
    rows = "".join(
        f"<tr><th scope='row'>{'&#8195;' * depth}{html.escape(name)}</th>"
        f"<td>{html.escape(value).replace(chr(10), '<br>')}</td></tr>\n"
        for depth, name, value in lines[1:]
    )
    head = f"<meta charset='utf-8'><title>{title}</title>"
    page = f"<!doctype html><html><head>{head}</head><body><h1>{title}</h1>\n<table>\n{rows}</table></body></html>"
    return page.encode()


def _value(item: Attributes) -> str:
    kind = _first(item, _VALUE_TYPE)
    if kind == "CODE":
        return _meaning(item, "0040A168")
    if kind == "NUM":
        return _measured(item)
    if kind in {"IMAGE", "COMPOSITE", "WAVEFORM"}:
        referenced = _items(item, "00081199")
        return " ".join(str(_first(each, "00081155")) for each in referenced)
    found = _first(item, _VALUES.get(str(kind), ""))
    if isinstance(found, Mapping):  # a person
        found = found.get("Ideographic") or found.get("Alphabetic") or ""
    return str(found).replace("\r\n", "\n").replace("\r", "\n")


def _measured(item: Attributes) -> str:
    for measured in _items(item, "0040A300"):
        number = _first(measured, "0040A30A")
        return f"{number} {_meaning(measured, '004008EA')}".strip()
    return ""


def _meaning(item: Attributes, tag: str) -> str:
    return next((str(_first(code, _CODE_MEANING)) for code in _items(item, tag)), "")


def _items(item: Attributes, tag: str) -> list[Mapping[str, Any]]:
    return [each for each in values_of(item, tag) if isinstance(each, Mapping)]


def _first(item: Attributes, tag: str) -> Any:
    return next(iter(values_of(item, tag)), "")
