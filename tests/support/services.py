"""Real services for tests: MinIO, Orthanc with its DICOMweb plugin, Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

_HINT = "run 'tools/services up' and export what 'tools/services env' prints, or 'make test'"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing() -> dict[str, str]:
    """What ``tools/services`` could not get, with its reason."""
    return {
        name.removeprefix("MISSING_").lower(): reason
        for name, reason in os.environ.items()
        if name.startswith("MISSING_") and reason
    }


def unavailable(name: str) -> NoReturn:
    """Skip with the reason; fail where everything must be there (``CI=true``)."""
    reason = f"{name}: {missing().get(name, f'not found; {_HINT}')}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, variable: str, *candidates: str) -> Path:
    """A program named by the environment or found on this machine; skips without it."""
    places = [os.environ.get(variable, ""), *candidates]
    for place in places:
        found = shutil.which(place) if place else None
        if found:
            return Path(found)
    unavailable(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_http(
    url: str, process: subprocess.Popen[bytes], *, log: Path, timeout_s: float = 60
) -> None:
    """Return when the address answers anything that is HTTP."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with _OPENER.open(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise AssertionError(f"{url} does not answer: {error}\n{text}") from error
            time.sleep(0.1)


@dataclass
class Server:
    """A process of a test: can be killed and started again on the same port and files."""

    argv: list[str]
    url: str
    log: Path
    env: dict[str, str] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
            )
        wait_http(self.url, self.process, log=self.log)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process:
            self.process.wait(timeout=10)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()


@dataclass
class Orthanc(Server):
    """A real hospital archive. ``dicomweb_url`` is its DICOMweb root."""

    dicomweb_url: str = ""

    def load(self, *files: Path) -> list[dict[str, Any]]:
        """Store DICOM files through its own interface; what it answered to each."""
        return [self._store(path.read_bytes()) for path in files]

    def _store(self, content: bytes) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}instances", data=content, method="POST")
        request.add_header("Content-Type", "application/dicom")
        with _OPENER.open(request, timeout=60) as answer:
            stored: dict[str, Any] = json.loads(answer.read())
        return stored

    def get(self, path: str) -> bytes:
        with _OPENER.open(f"{self.url}{path}", timeout=60) as answer:
            content: bytes = answer.read()
        return content


def new_orthanc(directory: Path, **configuration: Any) -> Orthanc:
    """Prepare, not start, an Orthanc below a directory; further configuration overrides the usual one.

    Debian's 1.10 listens on every interface whatever it is told, so it refuses remote callers.
    """
    binary = program("orthanc", "ORTHANC_BIN", "Orthanc", "/usr/sbin/Orthanc")
    plugin = Path(
        os.environ.get("ORTHANC_DICOMWEB", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    )
    if not plugin.exists():
        unavailable("orthanc")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {
        "Name": directory.name,
        "StorageDirectory": str(directory / "storage"),
        "IndexDirectory": str(directory / "storage"),
        "Plugins": [str(plugin)],
        "HttpPort": port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "DefaultEncoding": "Utf8",
        "StorageCompression": False,
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "StudiesMetadata": "Full",
            "SeriesMetadata": "Full",
        },
        **configuration,
    }
    path = directory / "orthanc.json"
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    url = f"http://127.0.0.1:{port}/"
    return Orthanc(
        argv=[str(binary), str(path)],
        url=url,
        log=directory / "orthanc.log",
        dicomweb_url=f"{url}dicom-web",
    )


def new_minio(directory: Path, *, user: str = "imaging", secret: str = "imaging-secret") -> Server:
    """Prepare, not start, a MinIO of one test, to be killed and started as the test likes."""
    cached = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imaging-cloud/bin/minio"
    )
    binary = program("minio", "MINIO_BIN", "minio", str(cached))
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return Server(
        argv=[
            str(binary), "server", str(directory / "files"), "--quiet",
            "--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{free_port()}",
        ],
        url=f"http://127.0.0.1:{port}/minio/health/ready",
        log=directory / "minio.log",
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(directory),
            "MINIO_ROOT_USER": user,
            "MINIO_ROOT_PASSWORD": secret,
            "MINIO_BROWSER": "off",
        },
    )  # fmt: skip
