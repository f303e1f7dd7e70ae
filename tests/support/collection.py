"""The whole collection of DICOM files in one hospital's archive, and somebody who reads it there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import archive
from tests.support.dicom_files import Row, rows


def identified() -> list[Row]:
    """The first file of each instance that has all its UIDs: a server holds one of a UID."""
    found = [
        row
        for row in rows("instance") + rows("same-uid variant")
        if row.sop_instance_uid and row.fields["study_instance_uid"]
    ]
    first = {row.sop_instance_uid: row for row in reversed(found)}
    return [row for row in found if first[row.sop_instance_uid] is row]


@pytest.fixture
def reader(db: None, client: Any, settings: Any, tmp_path: Path) -> Iterator[Any]:
    """A logged-in client of a hospital that archives every identified file."""
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    hospital = archive.make_institution("near")
    paths = [row.path for row in identified()]
    assert len(paths) > 300, "the collection of DICOM files is not there"
    archive.archive_files(hospital, paths, tmp_path=tmp_path)
    client.force_login(archive.make_user("radiologist", "radiologist", hospital))
    return client


def address(row: Row) -> str:
    of = row.fields
    series = f"studies/{of['study_instance_uid']}/series/{of['series_instance_uid']}"
    return f"{series}/instances/{row.sop_instance_uid}"
