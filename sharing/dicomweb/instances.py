"""Instance search: from the documents of the series, since instances have no row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from sharing.dicomweb.documents import held_series, metadata_lines
from sharing.dicomweb.query import MORE_RESULTS

if TYPE_CHECKING:
    from sharing.dicomweb.origin import Root
    from sharing.dicomweb.query import Search
    from sharing.selectors import SeriesPlace

Attributes = dict[str, Any]

MATCHABLE = frozenset(
    {
        "00080008",  # Image Type
        "00080016",  # SOP Class UID
        "00080018",  # SOP Instance UID
        "00080023",  # Content Date
        "00080060",  # Modality
        "0020000D",
        "0020000E",
        "00200011",  # Series Number
        "00200012",  # Acquisition Number
        "00200013",  # Instance Number
        "00280008",  # Number of Frames
        "00280010",  # Rows
        "00280011",  # Columns
    }
)
# Table 10.6.1-5 and what viewers ask for.
_RETURNED = (
    "00080016",
    "00080018",
    "0020000D",
    "0020000E",
    "00200013",
    "00280008",
    "00280010",
    "00280011",
    "00280100",
)
_LISTED_UIDS = {"00080016", "00080018", "0020000D", "0020000E"}


def search_instances(
    places: Iterable[SeriesPlace], search: Search, *, root: Root
) -> list[dict[str, Any]]:
    """One page of the instances of these series that match, in the order of their documents."""
    wanted = {tag: _pattern(tag, value) for tag, value in search.keys.items()}
    size = search.page_size
    found = _matching(places, wanted, search, root)
    rows = list(islice(found, search.offset, search.offset + size + 1))
    if len(rows) > size:
        search.warnings.append(MORE_RESULTS)
    return rows[:size]


def _matching(
    places: Iterable[SeriesPlace], wanted: dict[str, re.Pattern[str]], search: Search, root: Root
) -> Iterator[dict[str, Any]]:
    for place in places:
        entries = held_series(place).index.instances
        base = f"{root.url}/studies/{place.study.study_instance_uid}"
        base += f"/series/{place.series_instance_uid}/instances"
        for entry, line in zip(entries, metadata_lines(place.prefix), strict=True):
            attributes: Attributes = orjson.loads(line)
            if all(_matches(attributes, tag, pattern) for tag, pattern in wanted.items()):
                row = _selected(attributes, search)
                row["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
                row["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
                row["00081190"] = {"vr": "UR", "Value": [f"{base}/{entry.sop_instance_uid}"]}
                row["00083002"] = {"vr": "UI", "Value": [entry.transfer_syntax_uid]}
                yield dict(sorted(row.items()))


def _selected(attributes: Attributes, search: Search) -> dict[str, Any]:
    if search.include_all:
        return {tag: each for tag, each in attributes.items() if "BulkDataURI" not in each}
    tags = [*_RETURNED, *search.include]
    return {
        tag: attributes[tag]
        for tag in tags
        if tag in attributes and "BulkDataURI" not in attributes[tag]
    }


def _matches(attributes: Attributes, tag: str, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(str(each)) for each in attributes.get(tag, {}).get("Value", ()))


def _pattern(tag: str, value: str) -> re.Pattern[str]:
    """A list of values, each by wildcard."""
    values = re.split(r"[\\,]" if tag in _LISTED_UIDS else r"\\", value)
    return re.compile(
        "|".join(_wildcard(each.strip()) for each in values if each.strip()), re.DOTALL
    )


def _wildcard(value: str) -> str:
    """``*`` and ``?`` (PS3.4 §C.2.2.2.4) as a regular expression that never tries a place twice.

    Between two stars the first occurrence is always good enough, so each piece is an atomic group:
    plain ``.*`` for every star would let a few of them keep a processor busy for hours.
    """
    first, *others = (
        "".join("." if sign == "?" else re.escape(sign) for sign in piece)
        for piece in value.split("*")
    )
    if not others:
        return first
    middle = "".join(f"(?>.*?{piece})" for piece in others[:-1] if piece)
    return f"{first}{middle}.*{others[-1]}"
