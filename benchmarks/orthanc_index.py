"""Made-up studies in the index of an Orthanc (SQLite, database version 6), as many as one likes; and its statistics.

Storing a million instances through its interface would take hours; what reading depends on are these rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.support import ROOT_UID

STEP = 20_000
_INSTANCE, _SERIES, _STUDY, _PATIENT = 4, 3, 2, 1

Row = tuple[Any, ...]


def fill(index: Path, studies: int) -> None:
    """Add studies of one series and one instance each, and let SQLite count what is there (ANALYZE)."""
    with sqlite3.connect(index) as database:
        database.execute("PRAGMA synchronous = OFF")
        last = int(database.execute("SELECT max(internalId) FROM Resources").fetchone()[0])
        for start in range(0, studies, STEP):
            numbers = range(start, min(studies, start + STEP))
            database.executemany(
                "INSERT INTO Resources VALUES (?, ?, ?, ?)", _resources(last, numbers)
            )
            database.executemany(
                "INSERT INTO DicomIdentifiers VALUES (?, ?, ?, ?)", _identifiers(last, numbers)
            )
            database.executemany(
                "INSERT INTO MainDicomTags VALUES (?, ?, ?, ?)", _tags(last, numbers)
            )
            database.executemany("INSERT INTO Metadata VALUES (?, ?, ?)", _metadata(last, numbers))
        database.execute("ANALYZE")
    database.close()


def _ids(last: int, number: int) -> tuple[int, int, int, int]:
    first = last + 1 + 4 * number
    return first, first + 1, first + 2, first + 3


def _resources(last: int, numbers: range) -> Iterator[Row]:
    for number in numbers:
        instance, series, study, patient = _ids(last, number)
        # The patient first: each row names its parent.
        yield patient, _PATIENT, _public(number, "a"), None
        yield study, _STUDY, _public(number, "b"), patient
        yield series, _SERIES, _public(number, "c"), study
        yield instance, _INSTANCE, _public(number, "d"), series


def _public(number: int, kind: str) -> str:
    return "-".join(f"{number:07x}{kind}" for _ in range(5))


def _identifiers(last: int, numbers: range) -> Iterator[Row]:
    for number in numbers:
        instance, series, study, patient = _ids(last, number)
        uid = f"{ROOT_UID}.5.{number}"
        yield instance, 0x0008, 0x0018, f"{uid}.1.1"
        yield series, 0x0020, 0x000E, f"{uid}.1"
        yield study, 0x0020, 0x000D, uid
        yield study, 0x0008, 0x0050, f"A{number}"
        yield study, 0x0008, 0x0020, _day(number)
        yield study, 0x0008, 0x1030, "CHEST"
        for row in (study, patient):
            yield row, 0x0010, 0x0020, f"P{number // 4}"
            yield row, 0x0010, 0x0010, f"NAME^{number % 4000}"
            yield row, 0x0010, 0x0030, "19700101"


def _tags(last: int, numbers: range) -> Iterator[Row]:
    for number in numbers:
        instance, series, study, patient = _ids(last, number)
        uid = f"{ROOT_UID}.5.{number}"
        yield instance, 0x0008, 0x0018, f"{uid}.1.1"
        yield instance, 0x0020, 0x0013, "1"
        yield series, 0x0020, 0x000E, f"{uid}.1"
        yield series, 0x0008, 0x0060, "CT"
        yield series, 0x0020, 0x0011, "1"
        yield study, 0x0020, 0x000D, uid
        yield study, 0x0008, 0x0050, f"A{number}"
        yield study, 0x0008, 0x0020, _day(number)
        yield study, 0x0008, 0x1030, "Chest"
        for row in (study, patient):
            yield row, 0x0010, 0x0020, f"P{number // 4}"
            yield row, 0x0010, 0x0010, f"Name^{number % 4000}"
            yield row, 0x0010, 0x0030, "19700101"


def _metadata(last: int, numbers: range) -> Iterator[Row]:
    for number in numbers:
        instance, series, study, patient = _ids(last, number)
        for row in (series, study, patient):
            yield row, 7, "20261101T000000"  # LastUpdate
        yield instance, 2, "20261101T000000"  # ReceptionDate
        yield instance, 9, "1.2.840.10008.1.2.1"  # TransferSyntax
        yield instance, 10, "1.2.840.10008.5.1.4.1.1.2"  # SopClassUid


def _day(number: int) -> str:
    return f"{2016 + number % 10}{1 + number % 12:02d}{1 + number % 28:02d}"
