#!/usr/bin/env python
"""Searching over QIDO-RS: this platform beside Orthanc with as many studies, in the same run.

    python benchmarks/qido.py [--sizes 10000,100000,1000000] [--orthanc 10000] [--clients 1,8,32] [--seconds 4]
                              [--sight 10,100] [--filled DATABASE_URL]

At each size the index is filled by ``index_filler.py`` and asked by ``wrk`` through the web server as it runs in
production, as somebody who may see 10 of the 100 hospitals and as somebody who may see all. Orthanc is tuned: SQLite
after ANALYZE, names with case, UTF-8, answers from its main tags; its studies are one small instance each, up to the
size that ``--orthanc`` names. ``--filled`` takes a database that was filled before and leaves it as it is.

Needs DATABASE_URL and REDIS_URL (``tools/services env``), wrk, and for the comparison Orthanc with its plugin.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import index_filler
from benchmarks.support import (
    ROOT,
    background,
    in_threads,
    keep,
    manage,
    print_table,
    run_measured,
    scratch_database,
    scratch_folder,
)
from config.embedded.children import web
from tests.support import services

SECRET = "only-of-this-benchmark-only-of-this"
ADDRESSES = 400
LIMIT = "limit=101"
_READERS = """
import sys
from common.accounts.models import User
from hospitals.models import Institution
from benchmarks import index_filler
Institution.objects.filter(pk__in=index_filler.prepare()).update(state="active")
for count in {sights}:
    user, made = User.objects.get_or_create(username=f"reader{{count}}", defaults={{"is_system": True}})
    for place in Institution.objects.filter(code__startswith="H").order_by("pk")[min(5, 100 - count):][:count]:
        user.memberships.get_or_create(role="integrator", institution=place, valid_from="2020-01-01")
"""


def asked(size: int) -> dict[str, list[str]]:
    """Queries of each kind, the same for everybody; patients, days and names as ``index_filler`` makes them."""
    pick = random.Random(11)
    people = index_filler.People()

    def day() -> str:
        return (
            f"{index_filler.FIRST_DAY + timedelta(days=pick.randrange(index_filler.DAYS)):%Y%m%d}"
        )

    def month() -> str:
        found = day()[:6]
        return f"{found}01-{found}28"

    def han(number: int) -> str:
        return people.of(number)[0].rpartition("=")[2]

    def patient() -> int:
        return pick.randrange(size // index_filler.PER_PATIENT)

    kinds: dict[str, Callable[[], str]] = {
        "patient ID": lambda: f"PatientID={patient():08d}",
        "one day": lambda: f"StudyDate={day()}",
        "newest page": lambda: "",
        "month and modality": lambda: f"StudyDate={month()}&ModalitiesInStudy=CT",
        "name: family*": lambda: f"PatientName={quote(han(patient())[0])}*",
        "name: whole": lambda: f"PatientName={quote(han(patient()))}",
        "name: *part*": lambda: f"PatientName=*{quote(han(patient())[2:])}*",
        "*patient ID*": lambda: f"PatientID=*{patient():08d}"[:-1] + "*",
    }
    return {
        kind: [f"/studies?{make()}&{LIMIT}".replace("?&", "?") for _ in range(ADDRESSES)]
        for kind, make in kinds.items()
    }


def measure(
    url: str, paths: list[str], clients: int, seconds: int, headers: dict[str, str], work: Path
) -> dict[str, float]:
    """Milliseconds at the middle and at the end, and requests a second; an error ends the run."""
    prefix = "/" + url.split("/", 3)[3]
    listed = work / "addresses.txt"
    listed.write_text("\n".join(prefix + path for path in paths), encoding="utf-8")
    given = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    argv = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", *given]
    argv += [
        "-s",
        str(ROOT / "benchmarks" / "qido.lua"),
        "/".join(url.split("/")[:3]),
        "--",
        str(listed),
    ]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    line = next(line for line in text.splitlines() if line.startswith("RESULT"))
    requests, micros, errors, middle, late, most = map(float, line.split()[1:])
    if errors:
        raise SystemExit(f"{errors:.0f} errors of {requests:.0f}: {paths[0]}")
    return {"req/s": requests / micros * 1e6, "p50 ms": middle, "p99 ms": late, "max ms": most}


@contextmanager
def ours(database: str, sights: list[int], work: Path) -> Iterator[tuple[str, dict[int, str]]]:
    """Our web server over a filled database, and a token for each reader."""
    env = {
        **{name: os.environ[name] for name in ("PATH", "REDIS_URL", "HOME") if name in os.environ},
        "DATABASE_URL": database, "OBJECT_STORE_URL": (work / "objects").as_uri(), "IMAGING_DATA_DIR": str(work),
        "SECRET_KEY": SECRET, "LOOKUP_KEY": SECRET, "FIELD_KEYS": SECRET, "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    run_measured(manage("shell", "-c", _READERS.format(sights=sights)), env)
    tokens = {
        sight: run_measured(manage("create_token", f"reader{sight}"), env)[1]
        .strip()
        .splitlines()[-1]
        for sight in sights
    }
    port = services.free_port()
    child = web(port=port, threads=16)
    env["PYTHONPATH"] = str(child.cwd / "platform")
    with background(child.argv, env, work / "web.log"):
        _wait(port, "/readyz")
        yield f"http://127.0.0.1:{port}/dicom-web", tokens


@contextmanager
def orthanc(size: int, work: Path) -> Iterator[str]:
    """Orthanc with the first ``size`` studies of the filler, tuned."""
    server = services.new_orthanc(
        work / "orthanc", HttpThreadsCount=50, KeepAlive=True, SaveJobs=False, CaseSensitivePN=True,
        OverwriteInstances=False, LimitFindResults=0,
        DicomWeb={"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "MainDicomTags",
                  "SeriesMetadata": "MainDicomTags"},
    )  # fmt: skip
    server.start()
    begin = time.perf_counter()
    people = index_filler.People()
    in_threads(
        4, list(index_filler.studies([1], 0, size, people)), lambda row: server._store(small(row))
    )
    server.stop()
    with sqlite3.connect(work / "orthanc" / "storage" / "index") as index:
        index.execute("ANALYZE")
    print(f"Orthanc filled in {time.perf_counter() - begin:.0f} s", flush=True)
    server.start()
    try:
        yield f"{server.url}dicom-web"
    finally:
        server.stop()


def small(row: tuple[Any, ...]) -> bytes:
    """A study of the filler as a file of one small image."""
    from benchmarks.support import ct_slice

    data = ct_slice(row[2], 1, 4)
    data.PatientID, data.PatientName, data.PatientSex = row[3], row[5], row[8]
    data.StudyDate, data.StudyTime, data.AccessionNumber = f"{row[9]:%Y%m%d}", row[10], row[11]
    data.StudyID, data.StudyDescription, data.ReferringPhysicianName = row[12], row[13], row[14]
    data.Modality, data.PixelData = row[15][0], bytes(32)
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def found_by(url: str, paths: list[str], headers: dict[str, str]) -> float:
    """Results of a question, of the first ten: an answer that finds nothing is a fast one."""
    host, _, prefix = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    counts = []
    for path in paths[:10]:
        connection.request("GET", f"/{prefix}{path}", headers=headers)
        counts.append(len(json.loads(connection.getresponse().read() or b"[]")))
    connection.close()
    return sum(counts) / len(counts)


def _wait(port: int, path: str) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the web server does not answer")


@contextmanager
def filled(size: int) -> Iterator[str]:
    """A scratch database with so many studies."""
    with scratch_database() as database, scratch_folder() as work:
        env = {
            **os.environ, "DATABASE_URL": database, "IMAGING_DATA_DIR": str(work),
            "SECRET_KEY": SECRET, "LOOKUP_KEY": SECRET, "FIELD_KEYS": SECRET,
        }  # fmt: skip
        run_measured(manage("migrate", "--verbosity", "0"), env)
        argv = [sys.executable, str(ROOT / "benchmarks" / "index_filler.py"), str(size)]
        took, _ = run_measured(argv, env)
        print(f"{size} studies filled in {took.seconds:.0f} s", flush=True)
        yield database


def run(size: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    sights = [int(word) for word in options.sight.split(",")]
    database = nullcontext(options.filled) if options.filled else filled(size)
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        work = stack.enter_context(scratch_folder(options.data))
        address, tokens = stack.enter_context(ours(stack.enter_context(database), sights, work))
        targets = {
            f"ours, sees {sight}": (address, {"Authorization": f"Bearer {token}"})
            for sight, token in tokens.items()
        }
        if size <= options.orthanc:
            targets["Orthanc"] = (stack.enter_context(orthanc(size, work)), {})
        for kind, paths in asked(size).items():
            for clients in map(int, options.clients.split(",")):
                found: list[dict[str, Any]] = []
                for who, (url, headers) in targets.items():
                    results = found_by(url, paths, headers)
                    measure(url, paths, 1, 1, headers, work)
                    result = measure(url, paths, clients, options.seconds, headers, work)
                    found.append(
                        {
                            "studies": size,
                            "asked": kind,
                            "clients": clients,
                            "who": who,
                            "found": results,
                            **result,
                        }
                    )
                peer = next((row["req/s"] for row in found if row["who"] == "Orthanc"), 0.0)
                for row in found:
                    row["× Orthanc"] = row["req/s"] / peer if peer else 0.0
                    print(row, flush=True)
                rows += found
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument(
        "--orthanc", type=int, default=10_000, help="largest size that Orthanc is filled to"
    )
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--sight", default="10,100", help="of the 100 hospitals")
    parser.add_argument(
        "--filled", default="", help="address of a database that index_filler.py has filled"
    )
    parser.add_argument("--data", default="", help="where the scratch folders lie")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed")
    rows = [row for size in map(int, options.sizes.split(",")) for row in run(size, options)]
    print_table(rows)
    keep("qido", rows)


if __name__ == "__main__":
    main()
