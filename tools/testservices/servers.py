"""Servers for the tests: PostgreSQL, Redis and MinIO under ``var/test-services``."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from config.embedded.console import Refusal
from config.embedded.datadir import new_secret
from config.embedded.ports import any_free
from config.embedded.postgres import Postgres
from config.embedded.processes import Step
from config.embedded.redis import Redis
from config.embedded.specs import ChildSpec
from config.embedded.supervisor import Supervisor

BUCKET = "imaging-test"


def start_postgres(supervisor: Supervisor) -> str:
    """The address of a running, empty database."""
    server = Postgres(
        supervisor.directory.path,
        port=any_free(),
        password=supervisor.directory.settings().get("POSTGRES_PASSWORD") or new_secret(),
        # Test databases need not outlive a power cut, and are made and dropped all the time.
        options=("fsync=off", "full_page_writes=off"),
    )
    remember(supervisor, POSTGRES_PASSWORD=server.password)
    server.initialise()
    child = supervisor.start(server.spec())
    server.wait_ready(is_running=child.is_running)
    return server.url


def start_redis(supervisor: Supervisor) -> str:
    server = Redis(supervisor.directory.path, port=any_free(), password=new_secret())
    child = supervisor.start(server.spec())
    server.wait_ready(is_running=child.is_running)
    return server.url


def start_minio(supervisor: Supervisor, program: Path) -> str:
    """The ``minio://`` address of a bucket on a real server; the tests make the bucket."""
    port, secret = any_free(), new_secret()
    spec = minio_spec(
        program, supervisor.directory.path / "minio", port=port, user="imaging", secret=secret
    )
    child = supervisor.start(spec)
    wait_minio(port, is_running=child.is_running)
    return f"minio://imaging:{secret}@127.0.0.1:{port}/{BUCKET}?secure=0"


def minio_spec(program: Path, files: Path, *, port: int, user: str, secret: str) -> ChildSpec:
    return ChildSpec(
        name="minio",
        argv=[
            str(program), "server", str(files), "--quiet",
            "--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{any_free()}",
        ],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(files.parent),
            "MINIO_ROOT_USER": user,
            "MINIO_ROOT_PASSWORD": secret,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        },
        stop=(Step(signal.SIGTERM, 10),),
    )  # fmt: skip


def wait_minio(port: int, *, is_running: Callable[[], bool], timeout_s: float = 30) -> None:
    """Return when the server answers.

    Raises:
        Refusal: it ended or did not answer in time.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with opener.open(f"http://127.0.0.1:{port}/minio/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError) as error:
            if not is_running() or time.monotonic() > deadline:
                raise Refusal(f"MinIO does not answer: {error}") from error
            time.sleep(0.1)


def remember(supervisor: Supervisor, **values: str) -> None:
    directory = supervisor.directory
    directory.write_settings({**directory.settings(), **values})
