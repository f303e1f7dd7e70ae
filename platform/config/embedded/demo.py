"""What ``up --demo`` adds: the demo province, and its DICOMweb hospital as a process of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded.children import ROOT, manage
from config.embedded.console import indent, say
from config.embedded.specs import ChildSpec

PEOPLE_FILE = "demo-people"
ORIGIN = ROOT / "tools" / "origin" / "serve.py"


@dataclass(frozen=True)
class DemoPlan:
    """Commands that run to their end before the web server starts, then processes that stay."""

    steps: tuple[tuple[str, list[str], str], ...]
    processes: tuple[ChildSpec, ...]


def plan(data_dir: Path, *, origin_url: str) -> DemoPlan:
    """The seed is idempotent: at a second start it finds its rows and files and does nothing."""
    port = str(urlsplit(origin_url).port)
    files = data_dir / "demo" / "dicomweb-hospital"
    origin = ChildSpec(
        name="demo-hospital",
        argv=[
            sys.executable,
            str(ROOT / "tools" / "origin" / "serve.py"),
            str(files),
            "--port",
            port,
        ],
        cwd=ROOT,
    )
    seed = (
        "demo-seed",
        manage("demo_seed", "--origin-url", origin_url),
        "Preparing the demo province (first start: a minute) …",
    )
    return DemoPlan((seed,), (origin,))


def tell_people(data_dir: Path) -> None:
    """The log-ins that the seed made and keeps in the data directory."""
    path = data_dir / PEOPLE_FILE
    if path.is_file():
        say(f"Log-ins (kept in {path}):")
        say(indent(path.read_text(encoding="utf-8").splitlines()))
