"""DCMTK and pydicom read everything that a retrieval returns, as stored and as it is rewritten."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.collection import address, identified
from tests.support.dicom_files import Row
from tests.support.services import program

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

AS_STORED = "application/dicom; transfer-syntax=*"
TRAILING_PADDING = 0xFFFCFFFC
EXPLICIT = f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"


@pytest.mark.parametrize(("accept", "least"), [(AS_STORED, 350), (EXPLICIT, 330)])
def test_dcmtk_and_pydicom_read_every_instance_that_we_return(
    accept: str, least: int, reader: Any, tmp_path: Path
) -> None:
    dcmdump = program("dcmtk", "DCMDUMP_BIN", "dcmdump")
    faults, read = [], 0
    for row in identified():
        data = instance(reader, row, accept)
        if data is None:
            continue
        read += 1
        faults += [f"{row.name}: {each}" for each in complaints(dcmdump, data, row, tmp_path)]
        faults += [f"{row.name}: {each}" for each in unlike(data, row, accept)]

    assert not faults, "\n".join(faults)
    assert read >= least


def instance(reader: Any, row: Row, accept: str) -> bytes | None:
    """The instance in this form; None where the server says, with a reason, that it has no such form of it."""
    answer = reader.get(f"/dicom-web/at/near/{address(row)}", headers={"accept": accept})
    if answer.status_code == 406:
        assert accept != AS_STORED, row.name
        assert len(answer.content) > 20, row.name  # PS3.18 8.6.3: a reason in words
        return None
    assert answer.status_code == 200, (row.name, answer.content[:500])
    assert answer.headers["Content-Type"].startswith("application/dicom")
    return bytes(answer.getvalue())


def complaints(dcmdump: Path, data: bytes, row: Row, tmp_path: Path) -> list[str]:
    """What dcmdump finds wrong with an answer, and does not find wrong with the hospital's own file."""
    ours = tmp_path / "answer.dcm"
    ours.write_bytes(data)
    found = dumped(dcmdump, ours)
    return sorted(found - dumped(dcmdump, row.path)) if found else []


def dumped(dcmdump: Path, file: Path) -> set[str]:
    """Warnings and errors, without the places in the file at which they stand."""
    done = subprocess.run([str(dcmdump), str(file)], capture_output=True, check=False)
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    found = {re.sub(r"\d+|/\S+", "", line) for line in lines}
    return found | ({f"exit {done.returncode}"} if done.returncode else set())


def unlike(data: bytes, row: Row, accept: str) -> list[str]:
    """What pydicom reads out of an answer that is not in the hospital's own file."""
    again = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    first = pydicom.dcmread(row.path, stop_before_pixels=True, force=True)
    syntax = again.file_meta.TransferSyntaxUID
    wrong = []
    if accept == EXPLICIT and syntax != ExplicitVRLittleEndian:
        wrong.append(f"is in {syntax}")
    wrong += [
        f"{name} differs"
        for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID")
        if again.get(name) != first.get(name)
    ]
    # Group lengths are left out (PS3.5 7.2), and padding behind the data set (PS3.10 7.2).
    missing = {
        tag for tag in first.keys() - again.keys() if tag.element and tag != TRAILING_PADDING
    }
    return wrong + [f"has lost {tag}" for tag in sorted(missing)]
