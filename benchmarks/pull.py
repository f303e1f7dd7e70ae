#!/usr/bin/env python
"""Pulling a hospital over DICOMweb: this platform beside Orthanc, from the same origin, in the same run.

    python benchmarks/pull.py [--studies 10] [--slices 100-300] [--tiny 500] [--minio minio://…]
                              [--data DIR] [--only large|tiny] [--skip orthanc,workers,…] [--profile FILE]

Both pull the same studies from ``tools/origin`` on loopback: a few CT studies, then many of one small image.
Needs DATABASE_URL and REDIS_URL (``tools/services env``); a scratch database is made there and dropped, and
no other worker may listen on that Redis meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import (
    ROOT,
    ROOT_UID,
    Measured,
    ProcessTree,
    Stopwatch,
    background,
    in_threads,
    keep,
    manage,
    print_table,
    run_measured,
    scratch_database,
    scratch_folder,
    write_studies,
)
from config.queues import QUEUES
from tests.support import services

SECRET = "only-of-this-benchmark-only-of-this"


@dataclass(frozen=True)
class Load:
    """What lies in the hospital."""

    name: str
    folder: Path
    studies: int
    instances: int
    size_bytes: int

    def uids(self) -> list[str]:
        root = f"{ROOT_UID}.{1 if self.name == 'large' else 2}"
        return [f"{root}.{number}" for number in range(1, self.studies + 1)]


def make_load(name: str, folder: Path, *, studies: int, slices: range, pixels: int) -> Load:
    """Files of the load, made once for a folder."""
    place = folder / f"{name}-{studies}-{slices.start}-{slices.stop}-{pixels}"
    root = f"{ROOT_UID}.{1 if name == 'large' else 2}"
    if not place.is_dir():
        unfinished = place.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_studies(unfinished, studies=studies, slices=slices, pixels=pixels, root=root)
        unfinished.rename(place)
    files = list(place.rglob("*.dcm"))
    return Load(name, place, studies, len(files), sum(file.stat().st_size for file in files))


@contextmanager
def origin(load: Load, work: Path) -> Iterator[str]:
    """The hospital's DICOMweb root."""
    port = services.free_port()
    server = services.Server(
        argv=[
            sys.executable,
            str(ROOT / "tools/origin/serve.py"),
            str(load.folder),
            "--port",
            str(port),
        ],
        url=f"http://127.0.0.1:{port}/dicom-web/studies?limit=1",
        log=work / "origin.log",
    )
    server.start()
    url = f"http://127.0.0.1:{port}/dicom-web"
    read(f"{url}/studies")  # its index is made, whoever comes first
    yield url
    server.stop()


def read(url: str, body: bytes | None = None) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=body), timeout=3600) as answer:
        content: bytes = answer.read()
    return content


# Ours


def environment(work: Path, database: str, store: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}",
        "HOME": os.environ.get("HOME", str(work)),
        "DATABASE_URL": database,
        "REDIS_URL": os.environ["REDIS_URL"],
        "OBJECT_STORE_URL": store,
        "IMAGING_DATA_DIR": str(work),
        "SECRET_KEY": SECRET,
        "LOOKUP_KEY": SECRET,
        "FIELD_KEYS": SECRET,
        "ALLOW_LOOPBACK_HOSPITALS": "1",
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "WARNING",
        "PULL_PLACES": "4",
    }


@contextmanager
def installation(load: Load, store: str, options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """An empty installation that knows the hospital; the environment of its processes."""
    with (
        scratch_folder() as work,
        origin(load, work) as url,
        installation_at(url, store, jobs=options.jobs) as env,
    ):
        yield env


@contextmanager
def installation_at(url: str, store: str, *, jobs: int) -> Iterator[dict[str, str]]:
    """An empty installation that knows the origin at this address."""
    with scratch_folder() as work, scratch_database() as database:
        address = store or (work / "objects").as_uri()
        if store:
            bucket = f"bench-{os.getpid()}-{int(time.time())}"
            address = re.sub(r"(minio://[^/]+/)[^?]*", rf"\g<1>{bucket}", store)
        env = environment(work, database, address)
        run_measured(manage("migrate", "--verbosity", "0"), env)
        run_measured(
            manage(
                "hospital", "add", "H1", "--name", "H1", "--url", url, "--activate", "--no-probe",
                "--concurrency", str(jobs),
            ),
            env,
        )  # fmt: skip
        yield env


def ours_by_command(load: Load, store: str, options: argparse.Namespace) -> Measured:
    """``manage.py pull --wait``."""
    with installation(load, store, options) as env:
        argv = manage("pull", "H1", "--wait")
        if options.profile:
            argv = [argv[0], "-m", "cProfile", "-o", options.profile, *argv[1:]]
        found, text = run_measured(argv, env)
        check(load, env, text)
        return found


def ours_by_workers(load: Load, store: str, options: argparse.Namespace) -> Measured:
    """``manage.py pull`` with Celery's workers and scheduler, from the command to the last certificate."""
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    with installation(load, store, options) as env, ExitStack() as stack:
        log = Path(env["IMAGING_DATA_DIR"], "celery.log")
        worker = stack.enter_context(
            background(
                [*celery, "worker", "--queues", ",".join(QUEUES), "--concurrency", str(options.jobs + 1),
                 "--without-gossip", "--without-mingle"], env, log,
            )
        )  # fmt: skip
        beat = [*celery, "beat", "--schedule", f"{env['IMAGING_DATA_DIR']}/beat", "--pidfile="]
        stack.enter_context(background(beat, env, log))
        time.sleep(6)  # both are up; starting is not what is measured
        watch = Stopwatch(ProcessTree(worker.pid))
        with watch:
            command, _ = run_measured(manage("pull", "H1"), env)
            wait_archived(load, env["DATABASE_URL"])
        check(load, env, "")
        result = watch.result
        return Measured(result.seconds, result.cpu_s + command.cpu_s, result.peak_mb)


def wait_archived(load: Load, database: str) -> None:
    import psycopg

    query = "SELECT count(*) FROM sharing_study WHERE state = 'archived'"
    with psycopg.connect(database, autocommit=True) as connection:
        while True:
            row = connection.execute(query).fetchone()
            if row and row[0] == load.studies:
                return
            time.sleep(0.2)


def check(load: Load, env: dict[str, str], text: str) -> None:
    """A fast pull that lost something is no pull."""
    import psycopg

    query = "SELECT count(*), sum(instance_count), sum(size_bytes) FROM sharing_study WHERE state = 'archived'"
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        row = connection.execute(query).fetchone()
    if row != (load.studies, load.instances, load.size_bytes):
        raise SystemExit(f"not everything was archived: {row}\n{text}")


# Orthanc


def orthanc(load: Load, options: argparse.Namespace, jobs: int) -> Measured:
    """Orthanc's DICOMweb plugin as the client: the studies shared out among ``jobs`` retrieve jobs.

    It is told the studies; we have to find them. A job for each study would be slower: each is polled for.
    """
    with scratch_folder() as work, origin(load, work) as url:
        server = services.new_orthanc(
            work / "orthanc",
            ConcurrentJobs=max(2, jobs),
            DicomWeb={
                "Enable": True,
                "Root": "/dicom-web/",
                "Servers": {"origin": {"Url": f"{url}/", "HasDelete": False, "Timeout": 3600}},
            },
        )
        server.start()
        try:
            assert server.process is not None

            def retrieve(uids: list[str]) -> None:
                resources = [{"Study": uid} for uid in uids]
                body = json.dumps({"Resources": resources, "Synchronous": True}).encode()
                read(f"{server.url}dicom-web/servers/origin/retrieve", body)

            watch = Stopwatch(ProcessTree(server.process.pid))
            with watch:
                uids = load.uids()
                in_threads(jobs, [uids[first::jobs] for first in range(jobs)], retrieve)
            known = json.loads(read(f"{server.url}statistics"))
            if known["CountInstances"] != load.instances:
                raise SystemExit(
                    f"Orthanc has {known['CountInstances']} of {load.instances} instances"
                )
        finally:
            server.stop()
        return watch.result


# The comparison


def candidates(options: argparse.Namespace) -> dict[str, Callable[[Load], Measured]]:
    found: dict[str, Callable[[Load], Measured]] = {
        "orthanc-1": lambda load: orthanc(load, options, 1),
        "orthanc-jobs": lambda load: orthanc(load, options, options.jobs),
        "file": lambda load: ours_by_command(load, "", options),
        "workers": lambda load: ours_by_workers(load, "", options),
    }
    if options.minio:
        found["minio"] = lambda load: ours_by_command(load, options.minio, options)
        found["minio-workers"] = lambda load: ours_by_workers(load, options.minio, options)
    wanted = options.run.split(",") if options.run else list(found)
    return {name: run for name, run in found.items() if name in wanted}


def compare(load: Load, options: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, run in candidates(options).items():
        found = run(load)
        rows.append(
            {
                "load": load.name,
                "who": name,
                "seconds": found.seconds,
                "studies/s": load.studies / found.seconds,
                "instances/s": load.instances / found.seconds,
                "MB/s": load.size_bytes / 1e6 / found.seconds,
                "CPU s/GB": found.cpu_s / (load.size_bytes / 1e9),
                "peak MB": found.peak_mb,
            }
        )
        print(rows[-1], flush=True)
    best = max((row["MB/s"] for row in rows if row["who"].startswith("orthanc")), default=0.0)
    for row in rows:
        row["x the better Orthanc"] = row["MB/s"] / best if best else 0.0
    return rows


def span(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument("--slices", type=span, default=span("100-300"))
    parser.add_argument("--tiny", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--minio", default=os.environ.get("TEST_MINIO_URL", ""))
    parser.add_argument("--data", default="", help="folder for the loads, kept; and for the stores")
    parser.add_argument("--only", choices=("large", "tiny"))
    parser.add_argument("--run", default="", help="names of the candidates, by comma")
    parser.add_argument("--profile", default="", help="write a cProfile of the pull command")
    options = parser.parse_args()
    with scratch_folder() as temporary:
        data = Path(options.data) if options.data else temporary
        loads = []
        if options.only != "tiny":
            loads.append(
                make_load("large", data, studies=options.studies, slices=options.slices, pixels=512)
            )
        if options.only != "large":
            loads.append(
                make_load("tiny", data, studies=options.tiny, slices=range(1, 2), pixels=64)
            )
        rows = [row for load in loads for row in compare(load, options)]
    print()
    print_table(rows)
    keep("pull", rows)


if __name__ == "__main__":
    main()
