"""The servers that ``read.py`` compares: ours, Orthanc and nginx, each holding the same CT series."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.pull import Load as Hospital
from benchmarks.pull import environment, origin
from benchmarks.support import (
    ROOT,
    ROOT_UID,
    background,
    ct_slice,
    in_threads,
    manage,
    run_measured,
)
from tests.support import services

STUDY = f"{ROOT_UID}.8"
HOSPITAL = "READ"
DICOMWEB = "/dicom-web"


@dataclass(frozen=True)
class Load:
    """One CT study of some series, as files."""

    folder: Path
    series: int
    slices: int
    pixels: int
    size_bytes: int

    def series_uid(self, number: int) -> str:
        return f"{STUDY}.{number}"

    def instance_uid(self, series: int, number: int) -> str:
        return f"{STUDY}.{series}.{number}"

    @property
    def hospital(self) -> Hospital:
        return Hospital("read", self.folder, 1, self.series * self.slices, self.size_bytes)


@dataclass(frozen=True)
class Served:
    """A server in the benchmark. ``root`` is its DICOMweb root; ``files`` where it only has files."""

    name: str
    root: str
    pid: int
    headers: dict[str, str] = field(default_factory=dict)
    files: bool = False


def make_load(folder: Path, *, series: int, slices: int, pixels: int = 512) -> Load:
    """The files, made once for a folder."""
    place = folder / f"read-{series}-{slices}-{pixels}"
    if not place.is_dir():
        unfinished = place.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        _write(unfinished, series=series, slices=slices, pixels=pixels)
        unfinished.rename(place)
    size = sum(file.stat().st_size for file in place.rglob("*.dcm"))
    return Load(place, series, slices, pixels, size)


def _write(folder: Path, *, series: int, slices: int, pixels: int) -> None:
    noise = np.random.default_rng(1).integers(0, 4096, pixels * pixels + 4096, dtype=np.uint16)
    for which in range(1, series + 1):
        place = folder / f"{which:03d}"
        place.mkdir(parents=True)
        for number in range(1, slices + 1):
            data = ct_slice(STUDY, number, pixels)
            data.SeriesInstanceUID = f"{STUDY}.{which}"
            data.SOPInstanceUID = f"{STUDY}.{which}.{number}"
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
            data.SeriesNumber = which
            data.PixelData = noise[number : number + pixels * pixels].tobytes()
            data.save_as(place / f"{number:05d}.dcm", enforce_file_format=True)


# Ours


@contextmanager
def installation(
    load: Load, *, work: Path, database: str, store: str, studies: int
) -> Iterator[dict[str, str]]:
    """An installation with a filled index that has pulled the load; the environment of its processes."""
    address = store or (work / "objects").as_uri()
    if store:
        bucket = f"bench-{os.getpid()}-{int(time.time())}"
        address = re.sub(r"(minio://[^/]+/)[^?]*", rf"\g<1>{bucket}", store)
    env = environment(work, database, address) | {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
    run_measured(manage("migrate", "--verbosity", "0"), env)
    if studies:
        filling = [sys.executable, str(Path(__file__).with_name("index_filler.py")), str(studies)]
        run_measured(filling, env)
    with origin(load.hospital, work) as url:
        words = ("--name", HOSPITAL, "--url", url, "--activate", "--no-probe", "--region", "420000")
        run_measured(manage("hospital", "add", HOSPITAL, *words), env)
        run_measured(manage("pull", HOSPITAL, "--wait"), env)
    yield env


def reader_token(env: dict[str, str]) -> str:
    """A bearer token of a radiologist of the hospital."""
    code = (
        "from common.accounts.models import User; from hospitals import services, selectors;"
        "user, _ = User.objects.get_or_create(username='reader');"
        f"services.grant_membership(actor='benchmark', user=user, role='radiologist',"
        f" institution=selectors.get_institution(code='{HOSPITAL}'))"
    )
    run_measured(manage("shell", "--verbosity", "0", "-c", code), env)
    _, text = run_measured(manage("create_token", "reader"), env)
    return text.strip().splitlines()[-1]


@contextmanager
def ours(name: str, env: dict[str, str], *, port: int = 0) -> Iterator[Served]:
    """The web server as ``manage.py up`` starts it."""
    from config.embedded import children
    from config.embedded.settings_file import child_environment

    token = reader_token(env)
    port = port or services.free_port()
    data = Path(env["IMAGING_DATA_DIR"])
    env = child_environment(env, data_dir=data, root=ROOT)
    Path(env["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)
    spec = children.web(port=port, threads=16)
    with background(spec.argv, env, Path(env["IMAGING_DATA_DIR"]) / "web.log") as process:
        services.wait_http(
            f"http://127.0.0.1:{port}/healthz",
            process,
            log=Path(env["IMAGING_DATA_DIR"], "web.log"),
        )
        headers = {"Authorization": f"Bearer {token}"}
        yield Served(name, f"http://127.0.0.1:{port}{DICOMWEB}", process.pid, headers)


# Orthanc


@contextmanager
def orthanc(load: Load, *, work: Path, studies: int) -> Iterator[Served]:
    """Orthanc with the load and ``studies`` more in its index; tuned (ANALYZE, case-sensitive, UTF-8)."""
    from benchmarks import orthanc_index

    server = services.new_orthanc(
        work / "orthanc",
        CaseSensitivePN=True,
        HttpThreadsCount=50,
        KeepAlive=True,
        HttpCompressionEnabled=False,
        SaveJobs=False,
        DicomWeb={
            "Enable": True,
            "Root": f"{DICOMWEB}/",
            "StudiesMetadata": "Full",
            "SeriesMetadata": "Full",
        },
    )
    server.start()
    try:
        in_threads(4, sorted(load.folder.rglob("*.dcm")), lambda path: server.load(path))
        server.stop()
        orthanc_index.fill(work / "orthanc" / "storage" / "index", studies)
        server.start()
        assert server.process is not None
        yield Served("orthanc", server.dicomweb_url, server.process.pid)
    finally:
        server.stop()


# nginx


@contextmanager
def nginx(bodies: Path, work: Path) -> Iterator[Served | None]:
    """nginx with two workers over a folder of files: how fast bytes can leave this machine. None without it."""
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        yield None
        return
    port = services.free_port()
    place = work / "nginx"
    place.mkdir()
    configuration = place / "nginx.conf"
    configuration.write_text(
        f"""daemon off; worker_processes 2; pid {place}/pid; error_log {place}/error.log;
        events {{ worker_connections 256; }}
        http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
        client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
        uwsgi_temp_path {place}; scgi_temp_path {place};
        server {{ listen 127.0.0.1:{port}; root {bodies}; }} }}"""
    )
    # The workers must be able to read the folder, wherever it is: as the user who runs this.
    argv = [binary, "-p", str(place), "-c", str(configuration)]
    if os.geteuid() == 0:
        argv += ["-g", "user root;"]
    with background(argv, dict(os.environ), place / "log") as process:
        services.wait_http(f"http://127.0.0.1:{port}/", process, log=place / "log")
        yield Served("nginx", f"http://127.0.0.1:{port}", process.pid, files=True)


def fetch(server: Served, path: str, headers: dict[str, str]) -> tuple[bytes, str]:
    """One answer: its body and media type."""
    request = urllib.request.Request(f"{server.root}{path}", headers=server.headers | headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=600) as answer:
        return answer.read(), answer.headers.get("Content-Type", "")


def output_of(argv: Sequence[str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def as_json(body: bytes) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(body)
    return found
