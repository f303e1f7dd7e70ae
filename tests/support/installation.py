"""A whole installation of a test's own: PostgreSQL, Redis, MinIO, workers and a hospital, each to be killed.

Unlike what ``tools/services`` starts, nothing here is shared: a test may end any of it with SIGKILL.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from common.storage.minio import MinioAddress, MinioStore
from config.embedded.postgres import Postgres
from config.embedded.redis import Redis
from config.embedded.specs import ChildSpec
from config.queues import QUEUES
from tests.support import services

ROOT = Path(__file__).resolve().parents[2]
SECRET = "only-of-this-test-only-of-this-test"  # as long as the settings ask for
TEMPLATE = "imaging"


def wait_until(what: str, done: Callable[[], object], *, timeout_s: float) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.1)


class Child:
    """A process that is ended as a crash would end it, its children included."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **options: Any,
    ) -> None:
        self._start = {
            "args": list(argv), "env": env, "cwd": cwd, "start_new_session": True, **options
        }  # fmt: skip
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, spec: ChildSpec, *, log: Path) -> Child:
        return cls(spec.argv, log=log, env=spec.env, cwd=spec.cwd, **spec.popen_options)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                **self._start, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL to the process and to those that it started."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)


class Backends:
    """PostgreSQL, Redis and MinIO in one directory."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)  # PostgreSQL's unprivileged user must come through, if this is root
        self.directory = directory
        self.database = Postgres(directory, port=services.free_port(), password=SECRET)
        self.redis = Redis(directory, port=services.free_port(), password=SECRET)
        self.minio = services.new_minio(directory / "minio", secret=SECRET)
        self.redis.directory.mkdir()
        self._servers: dict[str, Child] = {}

    def start(self) -> None:
        self.database.initialise()
        specs = {"postgres": self.database.spec(), "redis": self.redis.spec()}
        for name, spec in specs.items():
            self._servers[name] = Child.of(spec, log=self.directory / f"{name}.log")
            self.start_one(name)
        self.minio.start()

    def start_one(self, name: str) -> None:
        """Start a server, again if it was killed, and wait for its answer."""
        if name == "minio":
            self.minio.start()
            return
        server = self._servers[name]
        server.start()
        waiting = self.database if name == "postgres" else self.redis
        waiting.wait_ready(is_running=server.is_running)

    def kill(self, name: str) -> None:
        (self.minio if name == "minio" else self._servers[name]).kill()

    def stop(self) -> None:
        for name in ("postgres", "redis", "minio"):
            if name == "minio" or name in self._servers:
                self.kill(name)
        note = self.directory / "postgres-place"  # where root had to put the cluster
        if note.is_file() and (place := note.read_text(encoding="utf-8").strip()) != ".":
            shutil.rmtree(place)

    def copy_database(self, name: str) -> str:
        """The address of a new database like the first one."""
        url = self.database.url
        with psycopg.connect(url.replace(f"/{TEMPLATE}", "/postgres"), autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(TEMPLATE)
                )
            )
        return url.replace(f"/{TEMPLATE}", f"/{name}")


@dataclass
class Installation:
    """One database, one bucket, one Redis number, and the processes that work on them."""

    backends: Backends
    name: str
    database_url: str
    redis_number: int
    lease_s: int = 6
    children: dict[str, Child] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.backends.directory / self.name

    @property
    def store(self) -> MinioStore:
        endpoint = self.backends.minio.url.split("/")[2]
        return MinioStore(MinioAddress(endpoint, self.name, "imaging", SECRET, secure=False))

    @property
    def env(self) -> dict[str, str]:
        endpoint = self.backends.minio.url.split("/")[2]
        redis = self.backends.redis.url.removesuffix("/0")
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}",
            "HOME": str(self.directory),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": f"{redis}/{self.redis_number}",
            "OBJECT_STORE_URL": f"minio://imaging:{SECRET}@{endpoint}/{self.name}?secure=0",
            "IMAGING_DATA_DIR": str(self.directory),
            "SECRET_KEY": SECRET,
            "LOOKUP_KEY": SECRET,
            "FIELD_KEYS": SECRET,
            "ALLOW_LOOPBACK_HOSPITALS": "1",
            "LOG_FORMAT": "console",
            "PULL_LEASE_S": str(self.lease_s),
            "PULL_PLACES": "4",
        }

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *words]

    def manage(self, *words: str) -> str:
        """What a management command prints; it must succeed."""
        done = subprocess.run(
            self.argv(*words),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def start_worker(self) -> None:
        self._start("worker", "worker", "--queues", ",".join(QUEUES), "--concurrency", "3",
                    "--without-gossip", "--without-mingle")  # fmt: skip

    def start_scheduler(self) -> None:
        schedule = str(self.directory / "beat")
        self._start("scheduler", "beat", "--schedule", schedule, "--pidfile=")

    def start_manage(self, name: str, *words: str) -> Child:
        """A management command in the background."""
        return self._run(name, self.argv(*words))

    def _start(self, name: str, *words: str) -> None:
        argv = [sys.executable, "-m", "celery", "-A", "config", *words, "--loglevel", "INFO"]
        self._run(name, argv)

    def _run(self, name: str, argv: Sequence[str]) -> Child:
        child = Child(argv, log=self.directory / f"{name}.log", env=self.env, cwd=ROOT)
        self.children[name] = child
        child.start()
        return child

    def supervise(self) -> None:
        """Start again what ended, as ``up`` and every service manager do.

        A worker ends by itself when Redis goes while it holds messages: kombu stumbles over putting them back.
        """
        for child in self.children.values():
            if not child.is_running():
                child.start()

    def stop(self) -> None:
        for child in self.children.values():
            child.kill()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database answers, on a connection of its own."""
        with psycopg.connect(self.database_url, connect_timeout=5) as connection:
            return connection.execute(sql.SQL(query)).fetchall()

    def count(self, query: str) -> int:
        return int(self.rows(query)[0][0])


def new_installation(backends: Backends, name: str, *, redis_number: int) -> Installation:
    """An installation with an empty database and an empty bucket."""
    (backends.directory / name).mkdir()
    url = backends.copy_database(name)
    return Installation(backends, name, url, redis_number)
