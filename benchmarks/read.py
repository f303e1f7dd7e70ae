#!/usr/bin/env python
"""Reading: this platform beside Orthanc (tuned) and nginx, on the same CT series, back to back in the same run.

    python benchmarks/read.py [--studies 1000000] [--orthanc-studies 100000] [--seconds 5]
                              [--rounds 2] [--clients 1,8,32]
                              [--minio minio://…] [--only frame,series] [--skip orthanc,nginx] [--data DIR]
                              [--writer] [--hold]

The load is made by wrk (``apt install wrk``). Ours runs under the settings of ``manage.py up``; its index and that
of Orthanc are filled first, since a short index proves little. ``--writer`` measures frames again while a hospital is
pulled, and beside a process that only burns as much processor: what the first costs beyond the second is waiting.
``--hold`` starts ours and waits, for profilers. Needs DATABASE_URL and REDIS_URL (``tools/services env``).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import reading, wrk
from benchmarks.reading import STUDY, Load, Served
from benchmarks.support import (
    background,
    keep,
    manage,
    print_table,
    scratch_database,
    scratch_folder,
)

GZIP = {"Accept-Encoding": "gzip"}
JSON = {"Accept": "application/dicom+json"}
OCTETS = {"Accept": 'multipart/related; type="application/octet-stream"'}
DICOM = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


@dataclass(frozen=True)
class Scenario:
    """What is asked for: paths below the root, in what form, by how many at once."""

    name: str
    paths: Sequence[str]
    headers: dict[str, str]
    clients: Sequence[int]
    static: str = ""  # the same answer as a file, for nginx
    unit: str = "per_s"
    more: dict[str, str] = field(default_factory=dict)


def scenarios(load: Load, clients: Sequence[int]) -> list[Scenario]:
    pick = random.Random(3)

    def instances(count: int) -> list[str]:
        found = []
        for _ in range(count):
            series, number = pick.randint(1, load.series), pick.randint(1, load.slices)
            uid = load.instance_uid(series, number)
            found.append(f"/studies/{STUDY}/series/{load.series_uid(series)}/instances/{uid}")
        return found

    series = f"/studies/{STUDY}/series/{load.series_uid(1)}"
    few = [count for count in clients if count <= 8]
    frames = [f"{path}/frames/1" for path in instances(2000)]
    return [
        Scenario("frame", frames, OCTETS, clients, static="frame"),
        Scenario("metadata", [f"{series}/metadata"], JSON, clients),
        Scenario("metadata gzip", [f"{series}/metadata"], JSON | GZIP, clients),
        Scenario("instance", instances(2000), DICOM, clients),
        Scenario("series", [series], DICOM, few, static="series", unit="mb_per_s"),
        Scenario("study", [f"/studies/{STUDY}"], DICOM, few, unit="mb_per_s"),
        Scenario("QIDO series", [f"/studies/{STUDY}/series"], JSON, clients),
    ]


def measure(
    server: Served, scenario: Scenario, options: argparse.Namespace, work: Path, load: Load
) -> list[dict[str, Any]]:
    """One row for each number of clients, after a short warm-up."""
    paths, headers = scenario.paths, scenario.headers
    if server.files:
        if not scenario.static:
            return []
        paths, headers = [f"/{scenario.static}"], {}
    rows = []
    check(server, paths[0], headers, scenario, load)
    wrk.run(server, paths, clients=4, seconds=2, headers=headers, work=work)
    for clients in scenario.clients:
        found = wrk.run(
            server, paths, clients=clients, seconds=options.seconds, headers=headers, work=work
        )
        rows.append(
            {
                "what": scenario.name, "clients": clients, "who": server.name, "req/s": found.per_s,
                "MB/s": found.mb_per_s, "p50 ms": found.p50_ms, "p99 ms": found.p99_ms,
                "CPU ms": found.cpu_ms, "peak MB": found.peak_mb, "failed": found.failed,
                "measure": getattr(found, scenario.unit),
            }
        )  # fmt: skip
        print(
            "{what}, {clients}: {who} {req/s:.0f} req/s, {MB/s:.0f} MB/s, p50 {p50 ms:.2f}".format(
                **rows[-1]
            ),
            flush=True,
        )
    return rows


def check(
    server: Served, path: str, headers: dict[str, str], scenario: Scenario, load: Load
) -> None:
    """A fast answer that lacks something is no answer."""
    body, _ = reading.fetch(server, path, headers)
    pixels = 2 * load.pixels**2
    least = {
        "frame": pixels,
        "instance": pixels,
        "series": pixels * load.slices,
        "study": pixels * load.slices * load.series,
        "metadata": 1000 * load.slices,
        "QIDO series": 100 * load.series,
    }
    if len(body) < least.get(scenario.name, 1000):
        raise SystemExit(f"{server.name} answers {scenario.name} with only {len(body)} bytes")


@contextmanager
def burning() -> Iterator[None]:
    """A process that does nothing but take processor time, as pulling does."""
    with background([sys.executable, "-c", "while True: pass"], dict(os.environ), Path(os.devnull)):
        yield


@contextmanager
def pulling(env: dict[str, str], load: Load, work: Path) -> Iterator[None]:
    """Another hospital with more studies than can be pulled in the time, pulled meanwhile."""
    from benchmarks.pull import make_load, origin
    from benchmarks.support import run_measured

    other = make_load("large", load.folder.parent, studies=10, slices=range(300, 301), pixels=512)
    with origin(other, work) as url:
        words = ("--name", "W", "--url", url, "--activate", "--no-probe", "--region", "420000")
        run_measured(manage("hospital", "add", "WRITER", *words), env)
        with background(manage("pull", "WRITER", "--wait"), env, work / "pull.log"):
            time.sleep(3)  # it has started to write
            yield


def with_writer(
    env: dict[str, str],
    server: Served,
    frame: Scenario,
    options: argparse.Namespace,
    work: Path,
    load: Load,
) -> list[dict[str, Any]]:
    """Frames alone, beside a busy processor, and beside a pull."""
    rows = []
    once = argparse.Namespace(seconds=options.seconds)
    frame = Scenario("frame", frame.paths, frame.headers, (1, 8))
    with burning():
        rows += [
            row | {"what": "frame, busy beside"} for row in measure(server, frame, once, work, load)
        ]
    with pulling(env, load, work):
        rows += [
            row | {"what": "frame, pull beside"} for row in measure(server, frame, once, work, load)
        ]
    return rows


def ours_rows(
    name: str, store: str, load: Load, wanted: list[Scenario], options: argparse.Namespace
) -> Iterator[list[dict[str, Any]]]:
    with scratch_folder(options.data) as work, scratch_database() as database:
        given = {"load": load, "work": work, "database": database, "store": store}
        with (
            reading.installation(**given, studies=options.studies) as env,
            reading.ours(name, env) as server,
        ):
            if options.hold:
                print(f"{server.root} process {server.pid} {server.headers}", flush=True)
                input("Enter ends it. ")
                return
            for scenario in wanted:
                yield measure(server, scenario, options, work, load)
            if options.writer and not store:
                yield with_writer(env, server, wanted[0], options, work, load)


def compare(load: Load, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ours, Orthanc and nginx in turn for each scenario, so that all see the machine in the same state."""
    wanted = [
        each
        for each in scenarios(load, options.clients)
        if not options.only or each.name in options.only.split(",")
        for _ in range(options.rounds)
    ]
    rows: list[dict[str, Any]] = []
    with scratch_folder(options.data) as work:
        sources = []
        if "ours" not in options.skip:
            sources.append(ours_rows("ours, files", "", load, wanted, options))
        if options.minio:
            sources.append(ours_rows("ours, MinIO", options.minio, load, wanted, options))
        if "orthanc" not in options.skip:
            sources.append(orthanc_rows(load, wanted, options, work))
        if "nginx" not in options.skip:
            sources.append(nginx_rows(load, wanted, options, work))
        live = list(sources)
        while live:
            for source in list(live):
                found = next(source, None)
                if found is None:
                    live.remove(source)
                else:
                    rows += found
    return rows


def orthanc_rows(
    load: Load, wanted: list[Scenario], options: argparse.Namespace, work: Path
) -> Iterator[list[dict[str, Any]]]:
    with reading.orthanc(load, work=work, studies=options.orthanc_studies) as server:
        for scenario in wanted:
            yield measure(server, scenario, options, work, load)


def nginx_rows(
    load: Load, wanted: list[Scenario], options: argparse.Namespace, work: Path
) -> Iterator[list[dict[str, Any]]]:
    bodies = work / "bodies"
    bodies.mkdir()
    with (bodies / "series").open("wb") as file:
        for path in sorted((load.folder / "001").iterdir()):
            file.write(path.read_bytes())
    (bodies / "frame").write_bytes(bytes(2 * load.pixels**2))
    with reading.nginx(bodies, work) as server:
        if server is None:
            print("nginx is not installed: no upper bound is measured.")
            return
        for scenario in wanted:
            yield measure(server, scenario, options, work, load)


def best_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best round of each: what others do on the machine only ever makes a figure worse."""
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = (row["what"], row["clients"], row["who"])
        if key not in best or row["measure"] > best[key]["measure"]:
            best[key] = row
    return list(best.values())


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each figure by Orthanc's and by nginx's of the same scenario."""
    for row in rows:
        for peer in ("orthanc", "nginx"):
            same = [
                other["measure"]
                for other in rows
                if other["who"] == peer
                and (other["what"], other["clients"]) == (row["what"], row["clients"])
            ]
            row[f"x {peer}"] = row["measure"] / same[0] if same and same[0] else ""
    return [{name: value for name, value in row.items() if name != "measure"} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--orthanc-studies", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each; the best one counts")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument(
        "--clients", type=lambda text: [int(word) for word in text.split(",")], default=[1, 8, 32]
    )
    parser.add_argument("--minio", default="")
    parser.add_argument("--only", default="", help="names of scenarios, by comma")
    parser.add_argument("--skip", default="", help="ours, orthanc, nginx, by comma")
    parser.add_argument("--data", default="", help="folder for the load, kept; and for the stores")
    parser.add_argument("--writer", action="store_true")
    parser.add_argument("--hold", action="store_true")
    options = parser.parse_args()
    wrk.require_wrk()
    with scratch_folder() as temporary:
        load = reading.make_load(
            Path(options.data) if options.data else temporary, series=3, slices=300
        )
        rows = with_ratios(best_of(compare(load, options)))
    if rows:
        print()
        print_table(rows)
        keep("read", rows)


if __name__ == "__main__":
    main()
