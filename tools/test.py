#!/usr/bin/env python3
"""Everything that CI runs (``make test``): static checks, services, pytest, services stopped again.

pytest's closing line is the last line of the run. Words after ``make test`` go to pytest through
``PYTEST_ARGS``.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Two at a time, a file of tests in one of them: half of a story's time is waiting for a server.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile")
SERVICES = [sys.executable, str(ROOT / "tools" / "services")]


def main() -> int:
    checks = subprocess.call([sys.executable, str(ROOT / "tools" / "check.py")])
    sys.stdout.flush()
    try:
        if subprocess.call([*SERVICES, "up"]):
            return 1
        tests = run_tests()
    finally:
        # Quietly: nothing may follow the closing line of pytest.
        subprocess.call([*SERVICES, "down", "--quiet"])
    return tests or checks


def run_tests() -> int:
    lines = subprocess.check_output([*SERVICES, "env"], text=True).splitlines()
    environment = {**os.environ, **dict(line.split("=", 1) for line in lines)}
    words = shlex.split(os.environ.get("PYTEST_ARGS", ""))
    argv = [sys.executable, "-m", "pytest", *SIDE_BY_SIDE, *words]
    return subprocess.call(argv, cwd=ROOT, env=environment)


if __name__ == "__main__":
    sys.exit(main())
