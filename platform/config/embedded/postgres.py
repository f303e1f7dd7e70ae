"""An own PostgreSQL on loopback: TCP, scram password, checksums, stopped by SIGINT.

SIGTERM would be the "smart" shutdown, which waits for as long as any client stays connected.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from config.embedded.binaries import POSTGRES_MAJOR, find_postgres
from config.embedded.console import Refusal, indent
from config.embedded.datadir import write_private
from config.embedded.placing import Place, place
from config.embedded.processes import MARK, Step
from config.embedded.specs import ChildSpec

USER = "app"
STOP = (Step(signal.SIGINT, 20), Step(signal.SIGQUIT, 5))


class Postgres:
    """The cluster of one data directory."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int,
        password: str,
        database: str = "imaging",
        options: tuple[str, ...] = (),
    ) -> None:
        self.data_dir = data_dir
        self.port = port
        self.password = password
        self.database = database
        self.options = options  # NAME=value settings of the server
        self.place: Place = place(data_dir, find_postgres())

    @property
    def url(self) -> str:
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def spec(self) -> ChildSpec:
        options = self.place.owner.popen_options() if self.place.owner else {}
        return ChildSpec(
            name="postgres",
            is_service=True,
            argv=[
                str(self.place.bin / "postgres"),
                "-D",
                str(self.place.data),
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-c",
                "unix_socket_directories=",
                "-c",
                "max_connections=200",
                *(word for option in self.options for word in ("-c", option)),
            ],
            env=_environment(),
            cwd=self.place.data,
            stop=STOP,
            popen_options=options,
        )

    def initialise(self) -> bool:
        """Create the cluster if there is none; True when it was created now.

        Made beside and renamed at the end, so that a kill in the middle leaves nothing half made.

        Raises:
            Refusal: initdb failed, or the cluster belongs to another major version.
        """
        version = self.place.data / "PG_VERSION"
        if version.is_file():
            found = version.read_text(encoding="utf-8").strip()
            if found != POSTGRES_MAJOR:
                raise Refusal(
                    f"The database in {self.place.data} is of PostgreSQL {found}; this installation has "
                    f"{POSTGRES_MAJOR}. Use the version that wrote it, or dump and restore."
                )
            return False
        new = self.place.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password_file = self._password_file(new)
        try:
            self._initdb(new, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        new.rename(self.place.data)
        return True

    def _password_file(self, new: Path) -> Path:
        path = new.with_name("postgres.password")
        write_private(path, self.password)
        if self.place.owner:
            os.chown(new, self.place.owner.uid, self.place.owner.gid)
            os.chown(path, self.place.owner.uid, self.place.owner.gid)
        return path

    def _initdb(self, new: Path, password_file: Path) -> None:
        options = self.place.owner.popen_options() if self.place.owner else {}
        made = subprocess.run(  # type: ignore[call-overload]  # user, group: known to run() since 3.9
            [
                str(self.place.bin / "initdb"),
                f"--pgdata={new}",
                f"--username={USER}",
                "--auth=scram-sha-256",
                f"--pwfile={password_file}",
                "--data-checksums",
                "--locale=C.UTF-8",
                "--encoding=UTF8",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=new,
            env=_environment(),
            **options,
        )
        if made.returncode != 0:
            raise Refusal(f"The database could not be created:\n{indent(made.stderr.splitlines())}")

    def wait_ready(self, *, is_running: Callable[[], bool], timeout_s: float = 60) -> None:
        """Return when the server answers and its database exists.

        Raises:
            Refusal: it ended or did not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._create_database()
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise Refusal(
                        f"The database in {self.place.data} does not accept the password in "
                        f"{self.data_dir / 'env'}: that file was replaced. Restore it from a backup."
                    ) from error
                if not is_running() or time.monotonic() > deadline:
                    raise Refusal(f"PostgreSQL does not answer: {error}") from error
                time.sleep(0.1)
            else:
                return

    def _create_database(self) -> None:
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=self.password,
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        ) as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [self.database]
            )
            if known.fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database))
                )


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGDATA, PGOPTIONS or LC_ALL there would change the server."""
    return {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        MARK: os.environ.get(MARK, ""),
    }
