"""Public test suites as their authors publish them, pinned by digest; none of their files are in this repository."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.services import program, unavailable


@dataclass(frozen=True)
class Package:
    """A package of the npm registry: ``name@version`` with the digest of its archive."""

    name: str
    version: str
    sha512: str  # base64, as npm's integrity has it

    def folder(self) -> Path:
        """Its unpacked files; fetched once into the user's cache. Skips where npm cannot get it."""
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        place = base / "imaging-cloud" / "suites" / f"{self.name}-{self.version}"
        if not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent) as work:
                unpack(self._archive(Path(work)), Path(work))
                (Path(work) / "package").rename(place)
        return place

    def _archive(self, work: Path) -> Path:
        npm = program("npm", "NPM_BIN", "npm")
        done = subprocess.run(
            [str(npm), "pack", f"{self.name}@{self.version}", "--silent"],
            cwd=work,
            capture_output=True,
            check=False,
        )
        found = list(work.glob("*.tgz"))
        if done.returncode != 0 or not found:
            unavailable("npm")
        digest = hashlib.sha512(found[0].read_bytes()).digest()
        assert base64.b64encode(digest).decode() == self.sha512, f"{self.name} is not what it was"
        return found[0]


def unpack(archive: Path, work: Path) -> None:
    """Plain files below ``package/``; a database that somebody published with it stays out."""
    with tarfile.open(archive) as members:
        for member in members:
            target = (work / member.name).resolve()
            wanted = member.isfile() and not member.name.startswith("package/tmp/")
            if wanted and target.is_relative_to((work / "package").resolve()):
                target.parent.mkdir(parents=True, exist_ok=True)
                content = members.extractfile(member)
                assert content is not None
                target.write_bytes(content.read())
