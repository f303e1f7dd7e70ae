#!/usr/bin/env python3
"""Resolve the dependencies of pyproject.toml into the two hash-locked lists (``make lock``).

The lists name no index address: each machine installs from the index that it is configured for.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LISTS = {
    "requirements.lock": ["embedded"],
    "requirements-dev.lock": ["embedded", "dev"],
}


def main() -> int:
    for name, extras in LISTS.items():
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet",
            "--universal", "--python-version", "3.11", "--generate-hashes",
            "--no-emit-index-url", "--no-emit-find-links", "--no-annotate",
            "--custom-compile-command", "make lock", "--output-file", name,
        ]  # fmt: skip
        for extra in extras:
            command += ["--extra", extra]
        if subprocess.call(command, cwd=ROOT):
            return 1
        print(f"{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
