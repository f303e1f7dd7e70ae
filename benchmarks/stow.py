#!/usr/bin/env python
"""Storing over STOW-RS: this platform beside Orthanc, the same requests, in the same run.

    python benchmarks/stow.py [--clients 1,4,8,32] [--sizes 1,50] [--instances 600] [--series own|one]
                              [--store minio://…] [--skip orthanc] [--no-gathering] [--rounds 1] [--serve]

CT slices of 512 × 512. ``--series own``: each client stores series of its own, 300 slices each; ``one``: all clients
store into the same series. The time is that from the first byte sent to the last answer; ours is durable then, and what
follows in the background (gathering, reading back) runs beside, from the same processor. ``--serve`` starts our server
with its data and waits, for a profiler.

Needs DATABASE_URL and REDIS_URL (``tools/services env``), and a Redis on which no other worker listens.
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import (
    ROOT_UID,
    Measured,
    ProcessTree,
    Stopwatch,
    background,
    ct_slice,
    in_threads,
    keep,
    manage,
    print_table,
    run_measured,
    scratch_database,
    scratch_folder,
)
from config.embedded.children import web
from config.queues import GATHERING
from tests.support import services

SECRET = "only-of-this-benchmark-only-of-this"
SLICES = 300
BOUNDARY = "benchmark"
STUDY, SERIES, SOP = (f"{ROOT_UID}.{'7' * 12}.{mark}" for mark in ("1111", "2222", "3333"))


class Slices:
    """Any number of different slices from one: its UIDs are written over in place."""

    def __init__(self) -> None:
        import numpy as np

        data = ct_slice(STUDY, 1, 512)
        data.SeriesInstanceUID, data.SOPInstanceUID = SERIES, SOP
        data.PixelData = (
            np.random.default_rng(1).integers(0, 4096, 512 * 512, dtype="uint16").tobytes()
        )
        data.file_meta.MediaStorageSOPInstanceUID = SOP
        out = io.BytesIO()
        data.save_as(out, enforce_file_format=True)
        self.raw = out.getvalue()
        self.places = {
            uid: [found.start() for found in re.finditer(re.escape(uid.encode()), self.raw)]
            for uid in (STUDY, SERIES, SOP)
        }

    def make(self, study: int, series: int, number: int) -> bytearray:
        data = bytearray(self.raw)
        uids = {
            STUDY: f"{ROOT_UID}.{study:012d}.1111",
            SERIES: f"{ROOT_UID}.{study:012d}.{series:04d}",
            SOP: f"{ROOT_UID}.{study * 10_000 + number:012d}.{series:04d}",
        }
        for mark, places in self.places.items():
            for place in places:
                data[place : place + len(mark)] = uids[mark].encode()
        return data


@dataclass(frozen=True)
class Load:
    """So many clients with so many instances in each request."""

    clients: int
    size: int
    instances: int
    one_series: bool


class Target:
    """A server that is stored into."""

    def __init__(self, url: str, tree: ProcessTree, headers: dict[str, str]) -> None:
        self.host = url.split("/")[2]
        self.path = "/" + "/".join(url.split("/")[3:]) + "/studies"
        self.tree = tree
        self.headers = headers


def store(
    target: Target, load: Load, slices: Slices, first_study: int
) -> tuple[Measured, list[float]]:
    """Store the load; how long it took, and each request's time."""
    times: list[float] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(target.host, timeout=600)
        share = load.instances // load.clients
        study = first_study + (0 if load.one_series else number)
        offset = number * share if load.one_series else 0
        for start in range(0, share, load.size):
            body = b""
            for position in range(start, min(start + load.size, share)):
                at = offset + position
                body += f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
                series = 1 if load.one_series else 1 + at // SLICES
                body += slices.make(study, series, at + 1) + b"\r\n"
            body += f"--{BOUNDARY}--\r\n".encode()
            times.append(_post(connection, target, body))
        connection.close()

    watch = Stopwatch(target.tree)
    with watch:
        in_threads(load.clients, range(load.clients), client)
    return watch.result, times


def _post(connection: http.client.HTTPConnection, target: Target, body: bytes) -> float:
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
        "Accept": "application/dicom+json",
        **target.headers,
    }
    begin = time.perf_counter()
    for _ in range(50):
        try:
            connection.request("POST", target.path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except OSError:  # both close an idle connection, or one that they do not take on
            connection.close()
            continue
        if answer.status != 503:
            break
        time.sleep(0.2)
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {text[:300]!r}")
    return time.perf_counter() - begin


@contextmanager
def ours(options: argparse.Namespace) -> Iterator[Target]:
    """An empty installation: its web server, and the worker that gathers."""
    with scratch_folder(options.data) as work, scratch_database() as database:
        address = options.store or (work / "objects").as_uri()
        env = {
            **{name: os.environ[name] for name in ("PATH", "REDIS_URL", "HOME") if name in os.environ},
            "DATABASE_URL": database, "OBJECT_STORE_URL": address, "IMAGING_DATA_DIR": str(work),
            "SECRET_KEY": SECRET, "LOOKUP_KEY": SECRET, "FIELD_KEYS": SECRET, "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        run_measured(manage("migrate", "--verbosity", "0"), env)
        run_measured(manage("shell", "-c", _PROVINCE), env)
        _, text = run_measured(manage("create_token", "pacs"), env)
        port = services.free_port()
        child = web(port=port, threads=16)
        env["PYTHONPATH"] = str(child.cwd / "platform")
        log = work / "web.log"
        with background(child.argv, env, log) as server, _gatherer(env, log, options):
            _wait(port)
            headers = {"Authorization": f"Bearer {text.strip().splitlines()[-1]}"}
            yield Target(f"http://127.0.0.1:{port}/dicom-web", ProcessTree(server.pid), headers)


_PROVINCE = """
from common.accounts.models import User
from hospitals import services
from hospitals.models import Institution
region = services.add_region(actor="benchmark", code="420000", name="R")
place = services.add_institution(actor="benchmark", code="H1", name="H1", region=region)
Institution.objects.update(state="active")
user = User.objects.create(username="pacs", is_system=True)
user.memberships.create(role="integrator", institution=place, valid_from="2020-01-01")
"""


@contextmanager
def _gatherer(env: dict[str, str], log: Path, options: argparse.Namespace) -> Iterator[None]:
    if options.no_gathering:
        yield
        return
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    worker = [*celery, "worker", "--queues", GATHERING, "--concurrency", "1", "--without-gossip"]
    beat = [*celery, "beat", "--schedule", f"{env['IMAGING_DATA_DIR']}/beat", "--pidfile="]
    with background(worker, env, log), background(beat, env, log):
        yield


def _wait(port: int) -> None:
    for _ in range(300):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with closing(connection), suppress(OSError):  # it does not listen yet
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the web server does not answer")


@contextmanager
def orthanc(options: argparse.Namespace) -> Iterator[Target]:
    """Orthanc as it comes: files and SQLite, each file synced, its DICOMweb plugin."""
    with scratch_folder(options.data) as work:
        server = services.new_orthanc(
            work / "orthanc",
            HttpThreadsCount=50,
            KeepAlive=True,
            SaveJobs=False,
            DicomWeb={"Enable": True, "Root": "/dicom-web/"},
        )
        server.start()
        try:
            assert server.process is not None
            tree = ProcessTree(server.process.pid)
            yield Target(f"{server.url}dicom-web", tree, {})
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="1,4,8,32")
    parser.add_argument("--sizes", default="1,50", help="instances in each request")
    parser.add_argument("--instances", type=int, default=600)
    parser.add_argument("--series", choices=["own", "one"], default="own")
    parser.add_argument("--store", default="", help="MinIO instead of files")
    parser.add_argument("--data", default="", help="where the scratch folders lie")
    parser.add_argument("--skip", default="")
    parser.add_argument("--no-gathering", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    slices = Slices()
    rows: list[dict[str, Any]] = []
    sides = {"orthanc": orthanc, "ours": ours}
    for name, side in sides.items():
        if name in options.skip.split(","):
            continue
        with side(options) as target:
            store(target, Load(1, 1, 4, False), slices, 9_000_000)
            if options.serve and name == "ours":
                print(f"pid {target.tree.pid}", flush=True)
            rows += _measure(name, target, slices, options)
    for row in rows:
        peer = [r["MB/s"] for r in rows if r["who"] == "orthanc" and _cell(r) == _cell(row)]
        row["× Orthanc"] = row["MB/s"] / max(peer) if peer else 0.0
    print_table(rows)
    keep("stow", rows)


def _cell(row: dict[str, Any]) -> tuple[int, int]:
    return row["clients"], row["per request"]


def _measure(
    name: str, target: Target, slices: Slices, options: argparse.Namespace
) -> list[dict[str, Any]]:
    rows, study = [], 1
    for _ in range(options.rounds):
        for clients in map(int, options.clients.split(",")):
            for size in map(int, options.sizes.split(",")):
                # At least two requests for each client.
                each = max(options.instances // clients, 2 * size, 30)
                count = each * clients
                load = Load(clients, size, count, options.series == "one")
                found, times = store(target, load, slices, study)
                study += clients
                ordered = sorted(times)
                megabytes = count * len(slices.raw) / 1e6
                rows.append(
                    {
                        "who": name,
                        "clients": clients,
                        "per request": size,
                        "instances/s": count / found.seconds,
                        "MB/s": megabytes / found.seconds,
                        "p50 ms": ordered[len(ordered) // 2] * 1000,
                        "p99 ms": ordered[int(len(ordered) * 0.99)] * 1000,
                        "CPU s/GB": found.cpu_s / megabytes * 1000,
                        "peak MB": found.peak_mb,
                    }
                )
                print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
