"""Reading takes the same memory however much is read, by however many, however slowly."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_retrieve import ROOT, SMALL
from tests.support import archive

MIB = 2**20
SIDE = 512  # half a mebibyte each
WHOLE = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


def make_study(province: Province, folder: Path, *, series: int, instances: int) -> str:
    """Archive a study; its Study Instance UID."""
    folder.mkdir()
    dataset = pydicom.dcmread(SMALL)
    dataset.Rows = dataset.Columns = SIDE
    dataset.PixelData = bytes(2 * SIDE * SIDE)
    dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.10.1.77.{series}.{instances}"
    paths = []
    for which in range(1, series + 1):
        dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.{which}"
        for number in range(1, instances + 1):
            uid = f"{dataset.SeriesInstanceUID}.{number}"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            paths.append(folder / f"{which}-{number}.dcm")
            dataset.save_as(paths[-1], enforce_file_format=True)
    archive.archive_files(province.near, paths, tmp_path=folder)
    return str(dataset.StudyInstanceUID)


@pytest.fixture(autouse=True)
def _loaded(reader: Any) -> None:
    """The URL map and what it imports are loaded by the first request of a process, and not measured."""
    reader.get(f"{ROOT}nothing")


@contextmanager
def measured() -> Iterator[list[int]]:
    """The most that was allocated in the block beyond what was held before."""
    most: list[int] = []
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield most
        most.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


def read_all(reader: Any, study: str) -> int:
    answer = reader.get(f"{ROOT}studies/{study}", headers=WHOLE)
    assert answer.status_code == 200
    return sum(len(chunk) for chunk in answer.streaming_content)


@pytest.mark.parametrize(("series", "instances"), [(1, 10), (1, 120), (12, 10)])
def test_a_whole_study_takes_some_mebibytes_whatever_its_size(
    province: Province, reader: Any, tmp_path: Path, series: int, instances: int
) -> None:
    study = make_study(province, tmp_path / "files", series=series, instances=instances)

    with measured() as most:
        size = read_all(reader, study)

    assert size > series * instances * 2 * SIDE * SIDE
    assert most[0] < 5 * MIB


def test_many_slow_readers_hold_a_chunk_each(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    study = make_study(province, tmp_path / "files", series=1, instances=40)

    with measured() as most:
        answers = [reader.get(f"{ROOT}studies/{study}", headers=WHOLE) for _ in range(10)]
        bodies = [iter(answer.streaming_content) for answer in answers]
        read = [sum(len(next(body)) for body in bodies) for _ in range(30)]
        for answer in answers:
            answer.close()

    assert sum(read) > 50 * MIB
    assert most[0] < 10 * 2 * MIB
