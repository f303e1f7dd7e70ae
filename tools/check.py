#!/usr/bin/env python3
"""The static part of what CI runs (``make check``): every check, then one verdict."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

# Checks need settings to import, not services: nothing connects to these.
ENVIRONMENT = {
    "SECRET_KEY": "only-for-static-checks-only-for-static-checks",
    "FIELD_KEYS": "only-for-static-checks-only-for-static-checks",
    "LOOKUP_KEY": "only-for-static-checks-only-for-static-checks",
    "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:9/none",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "OBJECT_STORE_URL": "file:///nonexistent",
    "LOG_LEVEL": "ERROR",
}
CHECKS = (
    ("format", [str(BIN / "ruff"), "format", "--check", "."]),
    ("lint", [str(BIN / "ruff"), "check", "."]),
    ("types", [str(BIN / "mypy")]),
    ("imports", [str(BIN / "lint-imports")]),
    ("django", [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]),
    ("migrations", [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]),
    ("messages", [sys.executable, "tools/messages.py", "--check"]),
)


def main() -> int:
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}
    failed = []
    for name, command in CHECKS:
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        verdict = "ok" if done.returncode == 0 else "FAILED"
        print(f"check {name}: {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
        if done.returncode != 0:
            print(done.stdout, flush=True)
            failed.append(name)
    if failed:
        print(f"make check: failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
