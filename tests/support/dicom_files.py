"""The real DICOM files that the tests read: the shared collection and its manifest."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One file of the manifest; ``fields`` holds every column by its name."""

    name: str
    path: Path
    kind: str
    fields: dict[str, str]

    @property
    def transfer_syntax_uid(self) -> str:
        return self.fields["transfer_syntax"]

    @property
    def sop_instance_uid(self) -> str:
        return self.fields["sop_instance_uid"]

    @property
    def sha256(self) -> str:
        return self.fields["sha256"]


def dicom_root() -> Path:
    """The collection's directory: IMAGING_TEST_DICOM, else beside the repository."""
    named = os.environ.get("IMAGING_TEST_DICOM", "")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data" / "dicom"


@cache
def _all_rows() -> tuple[Row, ...]:
    manifest = dicom_root() / "manifest.tsv"
    if not manifest.is_file():
        return ()
    with manifest.open(encoding="utf-8", newline="") as file:
        return tuple(
            Row(fields["path"], dicom_root() / fields["path"], fields["kind"], fields)
            for fields in csv.DictReader(file, delimiter="\t")
        )


def rows(kind: str | None = None) -> list[Row]:
    """Rows of the manifest, all or of one kind (instance, "same-uid variant", dicomdir, malformed)."""
    return [row for row in _all_rows() if kind is None or row.kind == kind]


def row(name: str) -> Row:
    """The row of this path, relative to the collection."""
    return next(found for found in _all_rows() if found.name == name)
