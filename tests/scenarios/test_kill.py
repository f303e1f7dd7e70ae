"""A pull in whose middle something is killed ends as one that nobody disturbed.

Everything is real: own PostgreSQL, Redis and MinIO, Celery's workers and scheduler, an honest hospital on
loopback that is held to a bandwidth, so that there is a middle to kill in.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from common.archive import keys
from common.archive.documents import SeriesIndex
from tests.support import services
from tests.support.installation import (
    ROOT,
    Backends,
    Installation,
    new_installation,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.minio, pytest.mark.timeout(600)]

STUDIES, SERIES, SLICES = 4, 5, 30
ALL_SERIES = STUDIES * SERIES
PIXELS = 128
BANDWIDTH = "2500KB/s"  # 20 MB in all: eight seconds
SECONDS = 120.0

DONE = "SELECT count(*) FROM sharing_transfer WHERE state = 'done'"
RUNNING = "SELECT count(*) FROM sharing_transfer WHERE state = 'running'"
ARCHIVED = "SELECT count(*) FROM sharing_study WHERE state = 'archived'"


def write_hospital(folder: Path) -> None:
    """4 studies of 5 series of 30 slices."""
    noise = np.random.default_rng(7)
    for study, series in itertools.product(range(1, STUDIES + 1), range(1, SERIES + 1)):
        for number in range(1, SLICES + 1):
            data = ct_slice(study, series, number)
            pixels = noise.integers(0, 4096, (PIXELS, PIXELS), dtype=np.uint16)
            data.PixelData = pixels.tobytes()
            path = folder / f"{study}-{series}-{number}.dcm"
            data.save_as(path, enforce_file_format=True)


def ct_slice(study: int, series: int, number: int) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID = CTImageStorage
    data.StudyInstanceUID = f"1.2.826.0.1.{study}"
    data.SeriesInstanceUID = f"{data.StudyInstanceUID}.{series}"
    data.SOPInstanceUID = f"{data.SeriesInstanceUID}.{number}"
    data.PatientID, data.PatientName = f"P{study}", "Wang^XiaoDong=王^小东"
    data.StudyDate, data.Modality = f"2026030{study}", "CT"
    data.SeriesNumber, data.InstanceNumber = series, number
    data.Rows = data.Columns = PIXELS
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    return data


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an honest DICOMweb origin with 20 series."""
    folder = tmp_path_factory.mktemp("hospital")
    write_hospital(folder)
    port = services.free_port()
    server = services.Server(
        argv=[
            sys.executable,
            str(ROOT / "tools/origin/serve.py"),
            str(folder),
            "--port",
            str(port),
        ],
        url=f"http://127.0.0.1:{port}/dicom-web/studies",
        log=folder.parent / "origin.log",
    )
    server.start()
    yield f"http://127.0.0.1:{port}/dicom-web"
    server.stop()


@dataclass
class Stage:
    """Makes installations that know the hospital."""

    backends: Backends
    hospital: str
    made: list[Installation]

    def new(self, name: str) -> Installation:
        place = new_installation(self.backends, name, redis_number=len(self.made) % 15)
        self.made.append(place)
        place.manage(
            "hospital", "add", "H1", "--name", "一号医院", "--url", self.hospital,
            "--concurrency", "2", "--bandwidth", BANDWIDTH, "--activate", "--no-probe",
        )  # fmt: skip
        return place


@pytest.fixture(scope="module")
def stage(backends: Backends, hospital: str) -> Iterator[Stage]:
    scene = Stage(backends, hospital, [])
    yield scene
    for place in scene.made:
        place.stop()


@dataclass(frozen=True)
class EndState:
    """Everything that must not depend on what was killed on the way."""

    studies: list[tuple[Any, ...]]
    series: list[tuple[Any, ...]]
    transfers: list[tuple[Any, ...]]
    quarantined: int
    digests: dict[str, str]
    certificates: list[dict[str, Any]]


def end_state(place: Installation) -> EndState:
    studies = place.rows(
        "SELECT study_instance_uid, state, patient_id, patient_name, name_grams, study_date, modalities,"
        " series_count, instance_count, size_bytes, listed_instances FROM sharing_study ORDER BY 1"
    )
    series = place.rows(
        "SELECT s.series_instance_uid, s.state, s.instance_count, s.size_bytes, s.listed_instances,"
        " s.compared_by, r.number, r.pack_digest, r.verified_at IS NOT NULL, r.prefix"
        " FROM sharing_series s LEFT JOIN sharing_seriesrevision r ON r.id = s.current_id ORDER BY 1"
    )
    return EndState(
        studies=studies,
        series=series,
        transfers=place.rows(
            "SELECT s.series_instance_uid, t.state, t.received_instances, t.quarantined, t.error_code"
            " FROM sharing_transfer t JOIN sharing_series s ON s.id = t.series_id ORDER BY 1"
        ),
        quarantined=place.count("SELECT count(*) FROM sharing_quarantined"),
        digests=dict(digests(place, [str(row[-1]) for row in series])),
        certificates=certificates(place),
    )


def digests(place: Installation, prefixes: list[str]) -> Iterator[tuple[str, str]]:
    for prefix in prefixes:
        index = SeriesIndex.from_bytes(place.store.get_bytes(keys.index_key(prefix)))
        for entry in index.instances:
            yield entry.sop_instance_uid, entry.sha256


def certificates(place: Installation) -> list[dict[str, Any]]:
    """The certificates as they lie in the bucket, without the time at which they were issued."""
    found = place.rows("SELECT object_key, body FROM sharing_certificate ORDER BY object_key")
    for key, body in found:
        stored = orjson.loads(place.store.get_bytes(str(key)))
        assert stored == body
    return [
        {name: value for name, value in body.items() if name != "issued_at"} for _, body in found
    ]


def pull_with_workers(place: Installation, disturb: Callable[[Installation], None]) -> EndState:
    place.start_worker()
    place.start_scheduler()
    place.manage("pull", "H1")
    in_the_middle(place)
    disturb(place)
    wait_until("every study archived", lambda: is_finished(place), timeout_s=SECONDS)
    place.stop()
    return end_state(place)


def is_finished(place: Installation) -> bool:
    place.supervise()
    return place.count(ARCHIVED) == STUDIES and place.count(DONE) == ALL_SERIES


def in_the_middle(place: Installation) -> None:
    """Some series are there, others are on their way, and others have not begun."""
    wait_until(
        "a pull in its middle",
        lambda: place.count(DONE) >= 4 and place.count(RUNNING) >= 1,
        timeout_s=SECONDS,
    )
    assert place.count(DONE) < ALL_SERIES - 4


@pytest.fixture(scope="module")
def undisturbed(stage: Stage) -> EndState:
    state = pull_with_workers(stage.new("undisturbed"), lambda _place: None)
    assert len(state.digests) == ALL_SERIES * SLICES
    assert [row[1] for row in state.studies] == ["archived"] * STUDIES
    return state


def kill_worker(place: Installation) -> None:
    place.children["worker"].kill()
    place.start_worker()


def kill_server(name: str) -> Callable[[Installation], None]:
    def disturb(place: Installation) -> None:
        place.backends.kill(name)
        place.backends.start_one(name)

    return disturb


@pytest.mark.parametrize(
    ("name", "disturb"),
    [
        ("worker", kill_worker),
        ("minio", kill_server("minio")),
        ("redis", kill_server("redis")),
        ("postgres", kill_server("postgres")),
    ],
)
def test_a_pull_whose_worker_or_server_is_killed_ends_as_an_undisturbed_one(
    stage: Stage,
    undisturbed: EndState,
    name: str,
    disturb: Callable[[Installation], None],
) -> None:
    place = stage.new(f"killed-{name}")

    state = pull_with_workers(place, disturb)

    assert state == undisturbed
    assert "no faults" in place.manage("verify_archive")


def test_a_pull_command_that_is_killed_is_run_again_and_ends_as_an_undisturbed_one(
    stage: Stage, undisturbed: EndState
) -> None:
    place = stage.new("killed-command")
    command = place.start_manage("pull", "pull", "H1", "--wait")
    in_the_middle(place)
    command.kill()

    place.manage("pull", "H1", "--wait")

    assert end_state(place) == undisturbed
    assert "no faults" in place.manage("verify_archive")


def test_a_pull_command_told_to_stop_leaves_nothing_half_done(
    stage: Stage, undisturbed: EndState
) -> None:
    place = stage.new("stopped-command")
    command = place.start_manage("pull", "pull", "H1", "--wait")
    in_the_middle(place)
    assert command.process is not None
    os.kill(command.process.pid, signal.SIGINT)
    try:
        command.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        pytest.fail("Ctrl-C did not end the command")

    place.manage("pull", "H1", "--wait")

    assert end_state(place) == undisturbed
