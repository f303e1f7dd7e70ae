"""Load by wrk: so many clients for so many seconds over a list of paths."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.reading import Served
from benchmarks.support import ProcessTree, Stopwatch

SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Figures:
    """What a run came to."""

    requests: int
    per_s: float
    mb_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_ms: float  # of the server, for each request
    peak_mb: float


def require_wrk() -> str:
    """The program.

    Raises:
        SystemExit: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("wrk is not installed (apt install wrk): it makes the load.")
    return found


def run(
    server: Served,
    paths: Sequence[str],
    *,
    clients: int,
    seconds: int,
    headers: dict[str, str],
    work: Path,
) -> Figures:
    """Load for some seconds; every answer must be a success."""
    root = urlsplit(server.root)
    names, figures = work / "paths", work / "figures"
    names.write_text("".join(f"{root.path}{path}\n" for path in paths), encoding="ascii")
    words = [f"-H{name}: {value}" for name, value in {**server.headers, **headers}.items()]
    argv = [
        require_wrk(), "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "-s", str(SCRIPT), *words,
        f"{root.scheme}://{root.netloc}",
    ]  # fmt: skip
    watch = Stopwatch(ProcessTree(server.pid))
    with watch:
        subprocess.run(
            argv,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PATHS": str(names), "FIGURES": str(figures)},
        )
    found: dict[str, Any] = json.loads(figures.read_text())
    return Figures(
        requests=found["requests"],
        per_s=found["requests"] / found["seconds"],
        mb_per_s=found["bytes"] / 1e6 / found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        failed=found["failed"],
        cpu_ms=watch.result.cpu_s * 1000 / max(1, found["requests"]),
        peak_mb=watch.result.peak_mb,
    )
