"""The data directory: everything `up` keeps, its lock, and the record of what runs."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from config.embedded.console import Refusal
from config.embedded.processes import ProcessId, is_running
from config.env import read_env_file

FORMAT = 1
# Everything below that is ours to write. As root the data directory itself can be passed through, so
# each one is closed by itself, before a worker makes it as the umask says.
PRIVATE = ("objects", "cache", "spool", "folders", "demo", "logs", "run", "static", "redis")


@dataclass
class Record:
    """What runs now: read by `down`, by `up --detach`, and by the next `up` after a kill."""

    mark: str = ""
    supervisor: ProcessId | None = None
    address: str = ""
    phase: str = "starting"
    processes: dict[str, ProcessId] = field(default_factory=dict)

    @property
    def supervisor_pid(self) -> int | None:
        return self.supervisor.pid if self.supervisor else None


class DataDir:
    """A directory of one installation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env_file = path / "env"
        self.logs = path / "logs"
        self.run = path / "run"
        self._lock: TextIO | None = None

    def prepare(self) -> None:
        """Create it, closed to others.

        Raises:
            Refusal: it cannot be written, or a newer version of this program has used it.
        """
        try:
            if not self.path.is_dir():
                self.path.mkdir(parents=True)
                # As root, PostgreSQL's unprivileged user must pass through (it may not look around).
                self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for name in PRIVATE:
                _close(self.path / name)
        except OSError as error:
            raise Refusal(
                f"The data directory cannot be used: {error}. Choose another with --data DIR."
            ) from error
        self._check_format()

    def _check_format(self) -> None:
        path = self.path / "format"
        if not path.is_file():
            write_private(path, f"{FORMAT}\n")
            return
        text = path.read_text(encoding="utf-8").strip()
        if not text.isdigit() or int(text) > FORMAT:
            raise Refusal(
                f"{self.path} was written by a newer version (format {text}; this one knows {FORMAT}). "
                "Use that version, or another directory with --data DIR."
            )

    def lock(self) -> None:
        """Hold the directory for this process until it ends, however it ends.

        Raises:
            Refusal: another `up` holds it.
        """
        lock = (self.run / "lock").open("a", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise Refusal(
                f"Another 'manage.py up' uses {self.path}. "
                f"Stop it with: manage.py down --data {self.path}"
            ) from error
        self._lock = lock

    def unlock(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def is_locked(self) -> bool:
        """Whether an `up` holds the directory."""
        path = self.run / "lock"
        if not path.is_file():
            return False
        with path.open("a", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def record(self) -> Record:
        """What the last `up` wrote; an empty record when it wrote nothing."""
        try:
            data = json.loads((self.run / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Record()
        supervisor = data["supervisor"]
        return Record(
            mark=data["mark"],
            supervisor=ProcessId(**supervisor) if supervisor else None,
            address=data["address"],
            phase=data["phase"],
            processes={name: ProcessId(**process) for name, process in data["processes"].items()},
        )

    def write_record(self, record: Record) -> None:
        def plain(process: ProcessId | None) -> dict[str, Any] | None:
            return {"pid": process.pid, "started": process.started} if process else None

        data = {
            "mark": record.mark,
            "supervisor": plain(record.supervisor),
            "address": record.address,
            "phase": record.phase,
            "processes": {name: plain(process) for name, process in record.processes.items()},
        }
        write_private(self.run / "state.json", json.dumps(data, indent=1))

    def is_supervised(self) -> bool:
        record = self.record()
        return record.supervisor is not None and is_running(record.supervisor)

    def settings(self) -> dict[str, str]:
        return read_env_file(self.env_file)

    def write_settings(self, values: Mapping[str, str]) -> None:
        """The ``env`` file that every command reads; it holds secrets, so only the owner may."""
        lines = ["# Written by 'manage.py up'; secrets: keep it private, and keep it.\n"]
        lines += [f"{name}={value}\n" for name, value in sorted(values.items())]
        write_private(self.env_file, "".join(lines))


def _close(path: Path) -> None:
    """Make a directory for this user alone, also where an older version left it open."""
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid == os.geteuid() and path.stat().st_mode & 0o077:
        path.chmod(0o700)


def new_secret() -> str:
    return secrets.token_urlsafe(48)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by the owner only, on the disk when this returns."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
