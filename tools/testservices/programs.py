"""Programs that the tests drive: found, installed where this may be done, or missing with a reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.embedded.console import say

MINIO_MODULE = "github.com/minio/minio@latest"
PLUGIN_PLACES = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so"),
)
CJK_FONT_PLACES = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
PACKAGES = {
    "orthanc": ("orthanc", "orthanc-dicomweb"),
    "chromium": ("chromium",),
    "font": ("fonts-noto-cjk",),
    "unzip": ("unzip",),
    "dcmtk": ("dcmtk",),
    "npm": ("npm",),
    "nginx": ("nginx",),
}


@dataclass(frozen=True)
class Found:
    """A program, or why there is none."""

    path: Path | None
    reason: str = ""


def cache_bin(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "imaging-cloud" / "bin"


def find_minio(environ: Mapping[str, str]) -> Found:
    """MINIO_BIN, PATH, the cache; else built once with Go into the cache (some minutes)."""
    given = environ.get("MINIO_BIN")
    if given:
        usable = os.access(given, os.X_OK)
        return Found(Path(given)) if usable else Found(None, f"MINIO_BIN={given} is no program")
    cached = cache_bin(environ) / "minio"
    for candidate in (shutil.which("minio"), str(cached)):
        if candidate and os.access(candidate, os.X_OK):
            return Found(Path(candidate))
    return build_minio(cached, environ)


def build_minio(target: Path, environ: Mapping[str, str]) -> Found:
    go = shutil.which("go")
    if go is None:
        return Found(None, "no MinIO in MINIO_BIN, PATH or the cache, and no Go to build it with")
    say(f"Building MinIO into {target} (once; five to ten minutes) …")
    unfinished = target.parent / "unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        [go, "install", MINIO_MODULE],
        env={**environ, "GOBIN": str(unfinished), "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        lines = built.stderr.strip().splitlines()
        return Found(
            None, f"go install {MINIO_MODULE} failed: {lines[-1] if lines else 'no message'}"
        )
    (unfinished / "minio").replace(target)
    return Found(target)


def find_orthanc() -> Found:
    program = shutil.which(
        "Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    )
    if program is None:
        return Found(None, "Orthanc is not installed (apt install orthanc orthanc-dicomweb)")
    if find_plugin() is None:
        return Found(
            None, "Orthanc's DICOMweb plugin is not installed (apt install orthanc-dicomweb)"
        )
    return Found(Path(program))


def find_plugin() -> Path | None:
    return next((path for path in PLUGIN_PLACES if path.is_file()), None)


def find_chromium() -> Found:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        program = shutil.which(name)
        if program:
            return Found(Path(program))
    return Found(None, "Chromium is not installed (apt install chromium)")


def find_font() -> Found:
    for place in CJK_FONT_PLACES:
        font = next(place.rglob("*CJK*"), None) if place.is_dir() else None
        if font:
            return Found(font)
    return Found(None, "no Chinese font (apt install fonts-noto-cjk)")


def find_on_path(name: str, package: str) -> Found:
    program = shutil.which(name)
    return Found(Path(program)) if program else Found(None, f"no {name} (apt install {package})")


FINDERS: dict[str, Callable[[], Found]] = {
    "orthanc": find_orthanc,
    "chromium": find_chromium,
    "font": find_font,
    "unzip": lambda: find_on_path("unzip", "unzip"),
    "dcmtk": lambda: find_on_path("dcm2json", "dcmtk"),
    "npm": lambda: find_on_path("npm", "npm"),
    "nginx": lambda: find_on_path("nginx", "nginx"),
}


def ensure_packages() -> dict[str, Found]:
    """Orthanc, Chromium, DCMTK and a font; what is missing comes from the distribution if we are root."""
    found = {name: finder() for name, finder in FINDERS.items()}
    missing = [name for name, program in found.items() if program.path is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [package for name in missing for package in PACKAGES[name]]
        fault = apt_install(packages)
        for name in missing:
            again = FINDERS[name]()
            found[name] = again if again.path or not fault else Found(None, fault)
    return found


def apt_install(packages: list[str]) -> str:
    """Install; empty, or why it failed."""
    say(f"Installing {', '.join(packages)} with apt-get …")
    # In runlevel 1 a package starts no service of its own: the tests start what they need, on loopback.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *words], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            return f"apt-get {words[0]} failed: {lines[-1] if lines else 'no message'}"
    return ""
