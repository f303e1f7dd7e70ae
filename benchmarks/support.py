"""What the benchmarks share: made-up studies, scratch databases, measured processes, results on disk."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [path for path in (str(ROOT / "platform"), str(ROOT)) if path not in sys.path]

import numpy as np  # noqa: E402  (after the path)
import psycopg  # noqa: E402
from psycopg import sql  # noqa: E402
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
ROOT_UID = "1.2.826.0.1.3680043.10.1"


@dataclass(frozen=True)
class Measured:
    """One run: how long, how much processor time, how much memory in the largest process."""

    seconds: float
    cpu_s: float
    peak_mb: float


def write_studies(folder: Path, *, studies: int, slices: range, pixels: int, root: str) -> int:
    """CT studies of one series each, of as many slices as ``slices`` names in turn. Returns the bytes."""
    noise = np.random.default_rng(1)
    size = 0
    for study in range(1, studies + 1):
        count = slices[(study - 1) * max(1, len(slices) // studies) % len(slices)]
        place = folder / f"{study:05d}"
        place.mkdir(parents=True)
        block = noise.integers(0, 4096, pixels * pixels + 4096, dtype=np.uint16)
        for number in range(1, count + 1):
            data = ct_slice(f"{root}.{study}", number, pixels)
            data.PixelData = block[number : number + pixels * pixels].tobytes()
            path = place / f"{number:05d}.dcm"
            data.save_as(path, enforce_file_format=True)
            size += path.stat().st_size
    return size


def ct_slice(study_uid: str, number: int, pixels: int) -> Dataset:
    """The header of a slice as scanners write it: some eighty attributes."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 192"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SOPClassUID = CTImageStorage
    data.StudyInstanceUID = study_uid
    data.SeriesInstanceUID = f"{study_uid}.1"
    data.SOPInstanceUID = f"{study_uid}.1.{number}"
    data.FrameOfReferenceUID = f"{study_uid}.9"
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20260301"
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101500.000000"
    data.AccessionNumber, data.Modality, data.Manufacturer = "A1", "CT", "Benchmark"
    data.InstitutionName, data.StationName = "第一人民医院", "CT01"
    data.StudyDescription, data.SeriesDescription = "胸部平扫", "Chest 1.0 mm"
    data.PatientName, data.PatientID = "Wang^XiaoDong=王^小东", f"P{study_uid.rpartition('.')[2]}"
    data.PatientBirthDate, data.PatientSex, data.PatientAge = "19700101", "M", "056Y"
    data.BodyPartExamined, data.SliceThickness, data.KVP = "CHEST", "1.0", "120"
    data.SeriesNumber, data.InstanceNumber = 1, number
    data.ImagePositionPatient = ["-180", "-180", str(number)]
    data.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    data.SliceLocation, data.PixelSpacing = str(number), ["0.7", "0.7"]
    data.WindowCenter, data.WindowWidth = ["40", "-600"], ["400", "1500"]
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "-1024", "1", "HU"
    data.ExposureTime, data.XRayTubeCurrent, data.ConvolutionKernel = "500", "200", "B70f"
    data.Rows = data.Columns = pixels
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    block = data.private_block(0x0029, "BENCHMARK HEADER", create=True)
    for element in range(0x10, 0x30):
        block.add_new(element, "LO", f"private value {element}")
    return data


@contextlib.contextmanager
def scratch_database() -> Iterator[str]:
    """The address of an empty database on the server of DATABASE_URL; dropped at the end."""
    url = os.environ["DATABASE_URL"]
    name = f"bench_{os.getpid()}_{time.monotonic_ns() % 10**6}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def scratch_folder(given: str = "") -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given or None) as name:
        yield Path(name)


def run_measured(argv: Sequence[str], env: dict[str, str]) -> tuple[Measured, str]:
    """Run to the end: processor time with its children, peak memory of the largest process, output."""
    with tempfile.TemporaryFile("w+") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(argv, env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise SystemExit(f"{argv}: exit status {process.returncode}\n{text}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), text


class ProcessTree:
    """A running process with its children: processor time so far, and the largest peak of memory."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def pids(self) -> list[int]:
        found, look = [], [self.pid]
        while look:
            pid = look.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    look += [int(child) for child in task.read_text().split()]
        return found

    def cpu_s(self) -> float:
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(int(value) for value in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        peak = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]))
        return peak / 1024


class Stopwatch:
    """Measures what a running process tree does between enter and exit."""

    def __init__(self, tree: ProcessTree) -> None:
        self.tree = tree
        self.result = Measured(0, 0, 0)

    def __enter__(self) -> Stopwatch:
        self._begin, self._cpu = time.perf_counter(), self.tree.cpu_s()
        return self

    def __exit__(self, *_: object) -> None:
        self.result = Measured(
            time.perf_counter() - self._begin, self.tree.cpu_s() - self._cpu, self.tree.peak_mb()
        )


@contextlib.contextmanager
def background(
    argv: Sequence[str], env: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the time of the block, with what it started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def manage(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *words]


def own_peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """A plain table: the names of the first row are the head."""
    head = list(rows[0])
    lines = [head, *([_shown(row.get(name, "")) for name in head] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def keep(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write the results beside the earlier ones; the folder is not part of the repository."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(list(rows), indent=1, default=str), encoding="utf-8")
    print(f"\nWritten to {path.relative_to(ROOT)}")


def in_threads(count: int, tasks: Sequence[Any], work: Any) -> None:
    """Do ``work(task)`` for each task, ``count`` at a time; the first failure is raised."""
    queue = iter(tasks)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def loop() -> None:
        while not failures:
            with lock:
                task = next(queue, None)
            if task is None:
                return
            try:
                work(task)
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                failures.append(error)

    threads = [threading.Thread(target=loop) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
