"""Instance search: the index finds the series, their documents have the instances, which have no row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from common.dicom.uids import is_valid_uid
from sharing.dicomweb.document_matching import can_match, matcher
from sharing.dicomweb.documents import held_series, metadata_lines
from sharing.dicomweb.keys import SERIES_KEYS, STUDY_KEYS
from sharing.dicomweb.query import MORE_RESULTS, Search
from sharing.domain import facts

if TYPE_CHECKING:
    from sharing.selectors import SeriesPlace

Attributes = dict[str, Any]

# Documents that one search reads; each takes some milliseconds.
MOST_SERIES = 200
TOO_MANY = (
    f"This search would have to look into more than {MOST_SERIES} series. Add a key that narrows it: "
    "StudyInstanceUID, SeriesInstanceUID, PatientID, AccessionNumber or StudyDate."
)
NOT_HERE = (
    "Series that are not in the archive yet took no part: their instances are not known here."
)
UPPER_KEYS = STUDY_KEYS | SERIES_KEYS
# Table 10.6.3-5 and what viewers ask for.
_RETURNED = (
    "00080016",
    "00080018",
    "00080201",
    "0020000D",
    "0020000E",
    "00200013",
    "00280008",
    "00280010",
    "00280011",
    "00280100",
)


@dataclass(frozen=True)
class Source:
    """A series to be looked into: where it is, its address, and what its rows say of study and series."""

    place: Callable[[], SeriesPlace] | None  # asked when its documents are needed
    instance_count: int
    url: str
    described: Attributes
    listed: Callable[[], list[Attributes]] | None = None  # by its hospital; nothing of it is here


def matchable(path: str) -> bool:
    """Keys of study and series are asked of the index, any other attribute of the headers."""
    return path in UPPER_KEYS or can_match(path)


def upper(search: Search, *, limit: int) -> Search:
    """The part of a search that the index answers: which series are looked into."""
    keys = {path: value for path, value in search.keys.items() if path in UPPER_KEYS}
    return replace(search, keys=keys, limit=limit, offset=0, warnings=[])


def is_selective(search: Search) -> bool:
    """Whether headers must be read to know which instances match."""
    return any(path not in UPPER_KEYS for path in search.keys)


def search_instances(sources: Iterable[Source], search: Search) -> list[Attributes]:
    """One page of the instances of these series that match, in the order of their documents.

    Raises:
        BadRequest: a value has not the form of its attribute.
    """
    tests = [
        matcher(path, value, empty_values=search.empty_values)
        for path, value in search.keys.items()
        if path not in UPPER_KEYS
    ]
    size = search.page_size
    rows = list(islice(_found(sources, tests, search), size + 1))
    if len(rows) > size:
        search.warnings.append(MORE_RESULTS)
    return rows[:size]


def _found(
    sources: Iterable[Source], tests: Sequence[Callable[[Attributes], bool]], search: Search
) -> Iterator[Attributes]:
    skip = search.offset
    for source in sources:
        if source.place and not tests and skip >= source.instance_count:
            skip -= source.instance_count  # known without its document
            continue
        for row in _of_series(source, tests, search):
            if skip:
                skip -= 1
            else:
                yield row


def _of_series(
    source: Source, tests: Sequence[Callable[[Attributes], bool]], search: Search
) -> Iterator[Attributes]:
    if source.place is None:
        yield from _listed(source, tests, search)
        return
    place = source.place()
    entries = held_series(place).index.instances
    for entry, line in zip(entries, metadata_lines(place.prefix), strict=True):
        header: Attributes = orjson.loads(line)
        if all(test(header) for test in tests):
            row = _selected(header, search) | source.described
            row["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
            row["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
            address = f"{source.url}/instances/{entry.sop_instance_uid}"
            row["00081190"] = {"vr": "UR", "Value": [address]}
            row["00083002"] = {"vr": "UI", "Value": [entry.transfer_syntax_uid]}
            yield dict(sorted(row.items()))


def _listed(
    source: Source, tests: Sequence[Callable[[Attributes], bool]], search: Search
) -> Iterator[Attributes]:
    """What the hospital lists of a series that is not here. Of its attributes those of an instance are handed on: the
    patient's are the index's to say."""
    for listed in source.listed() if source.listed else ():
        header = {tag: each for tag, each in listed.items() if isinstance(each, dict)}
        uid = facts.text(header, facts.SOP_INSTANCE_UID, 65)
        if is_valid_uid(uid) and all(test(header) for test in tests):
            row = {
                tag: header[tag]
                for tag in (*_RETURNED, "00083002", *search.include)
                if tag in header and "vr" in header[tag] and not tag.startswith("0010")
            }
            row |= source.described
            row["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
            row["00080056"] = {"vr": "CS", "Value": ["NEARLINE"]}
            row["00081190"] = {"vr": "UR", "Value": [f"{source.url}/instances/{uid}"]}
            yield dict(sorted(row.items()))


def _selected(header: Attributes, search: Search) -> Attributes:
    if search.include_all:
        return {tag: each for tag, each in header.items() if "BulkDataURI" not in each}
    return {
        tag: header[tag]
        for tag in (*_RETURNED, *search.include)
        if tag in header and "BulkDataURI" not in header[tag]
    }
