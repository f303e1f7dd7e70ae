"""A real OpenID provider for the tests: npm's ``oidc-provider``, pinned by a lock file with digests."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.testservices.programs import Found, cache_bin

HOME = Path(__file__).resolve().parent / "oidc"
SCRIPT = HOME / "provider.mjs"
_FILES = ("package.json", "package-lock.json")


def find_provider(environ: Mapping[str, str]) -> Found:
    """The directory with its modules: OIDC_PROVIDER_DIR, the cache, else installed there once by npm."""
    given = environ.get("OIDC_PROVIDER_DIR")
    if given:
        usable = (Path(given) / "node_modules" / "oidc-provider").is_dir()
        return Found(Path(given)) if usable else Found(None, f"OIDC_PROVIDER_DIR={given} has none")
    if shutil.which("node") is None:
        return Found(None, "no node (apt install nodejs npm)")
    locked = hashlib.sha256(b"".join((HOME / name).read_bytes() for name in _FILES)).hexdigest()
    cached = cache_bin(environ).parent / "npm" / f"oidc-provider-{locked[:16]}"
    return Found(cached) if cached.is_dir() else _install(cached)


def _install(target: Path) -> Found:
    npm = shutil.which("npm")
    if npm is None:
        return Found(
            None, "oidc-provider is not in the cache, and there is no npm (apt install npm)"
        )
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    for name in _FILES:
        shutil.copy(HOME / name, unfinished)
    done = subprocess.run(
        [npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=unfinished,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(unfinished)
        lines = done.stderr.strip().splitlines()
        return Found(
            None, f"npm ci of oidc-provider failed: {lines[-1] if lines else 'no message'}"
        )
    try:
        unfinished.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(unfinished)
    return Found(target)
