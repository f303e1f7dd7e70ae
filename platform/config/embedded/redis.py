"""An own Redis on loopback, with a password and an append-only file."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from config.embedded.binaries import find_redis
from config.embedded.console import Refusal
from config.embedded.datadir import write_private
from config.embedded.processes import Step
from config.embedded.specs import ChildSpec


class Redis:
    """The server of one data directory."""

    def __init__(self, data_dir: Path, *, port: int, password: str) -> None:
        self.port = port
        self.password = password
        self.directory = data_dir / "redis"
        self.program = find_redis()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def spec(self) -> ChildSpec:
        """Written as a configuration file: on the command line anybody could read the password."""
        configuration = self.directory / "redis.conf"
        write_private(
            configuration,
            "\n".join(
                [
                    "bind 127.0.0.1",
                    f"port {self.port}",
                    f"requirepass {self.password}",
                    f'dir "{self.directory}"',
                    "appendonly yes",
                    'save ""',
                    # A kill in the middle of a write leaves a short tail; it is cut off at start.
                    "aof-load-truncated yes",
                    "",
                ]
            ),
        )
        return ChildSpec(
            name="redis",
            is_service=True,
            argv=[str(self.program), str(configuration)],
            cwd=self.directory,
            stop=(Step(signal.SIGTERM, 10),),
        )

    def wait_ready(self, *, is_running: Callable[[], bool], timeout_s: float = 60) -> None:
        """Return when the server answers PING (not while it still loads its file).

        Raises:
            Refusal: it ended or did not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            if not is_running() or time.monotonic() > deadline:
                raise Refusal("Redis does not answer.")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(256)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"
