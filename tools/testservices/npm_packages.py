"""Programs of tests that npm distributes: fetched once into the cache, pinned by digest."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools.testservices.programs import Found, cache_bin

# Accessibility rules for pages (WCAG 2.2), by Deque; runs inside the browser of a test and is never shipped.
AXE = "axe-core@4.14.1"
AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
AXE_SCRIPT = "package/axe.min.js"


def find_axe(environ: Mapping[str, str]) -> Found:
    """AXE_JS, the cache, else npm."""
    given = environ.get("AXE_JS")
    if given:
        return (
            Found(Path(given))
            if Path(given).is_file()
            else Found(None, f"AXE_JS={given} is no file")
        )
    cached = cache_bin(environ).parent / "npm" / f"{AXE}.js"
    if cached.is_file():
        return Found(cached)
    return _fetch(cached)


def _fetch(target: Path) -> Found:
    npm = shutil.which("npm")
    if npm is None:
        return Found(None, f"{AXE} is not in the cache, and there is no npm (apt install npm)")
    with tempfile.TemporaryDirectory() as work:
        packed = subprocess.run(
            [npm, "pack", AXE, "--silent", "--prefer-offline"],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        archive = next(Path(work).glob("*.tgz"), None)
        if packed.returncode != 0 or archive is None:
            lines = packed.stderr.strip().splitlines()
            return Found(None, f"npm pack {AXE} failed: {lines[-1] if lines else 'no message'}")
        if hashlib.sha256(archive.read_bytes()).hexdigest() != AXE_SHA256:
            return Found(None, f"what npm gave as {AXE} is not the package that was pinned")
        with tarfile.open(archive) as package:
            script = package.extractfile(AXE_SCRIPT)
            content = script.read() if script else b""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(target)
    return Found(target)
