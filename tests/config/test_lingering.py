"""The web server's threads stay with a connection, and nobody waits for them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support import services


@pytest.fixture
def idle() -> Iterator[HTTPConnection]:
    """A connection that is closed only when the server has stopped."""
    connection = HTTPConnection("127.0.0.1", timeout=10)
    yield connection
    connection.close()


@pytest.fixture
def port(tmp_path: Path, idle: HTTPConnection) -> Iterator[int]:
    """A server of two threads."""
    port = services.free_port()
    argv = [
        sys.executable, "-m", "gunicorn", "wsgiref.simple_server:demo_app", "--no-control-socket",
        "--worker-class", "config.lingering.LingeringWorker", "--workers", "1", "--threads", "2",
        "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "5",
    ]  # fmt: skip
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
    services.wait_http(f"http://127.0.0.1:{port}/", process, log=tmp_path / "log")
    yield port
    process.terminate()
    assert process.wait(timeout=10) == 0


def ask(connection: HTTPConnection) -> bytes:
    connection.request("GET", "/")
    return connection.getresponse().read()


def test_more_connections_than_threads_are_all_answered_in_turn(port: int) -> None:
    with ExitStack() as stack:
        connections = [HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(12)]
        for connection in connections:
            stack.enter_context(closing(connection))
        begin = time.monotonic()

        for _ in range(20):
            for connection in connections:
                assert b"Hello world" in ask(connection)

        assert time.monotonic() - begin < 8


def test_requests_that_are_sent_together_are_all_answered(port: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(request * 4 + last)
        received = b""
        while chunk := client.recv(65536):
            received += chunk

    assert received.count(b"Hello world") == 5


def test_an_idle_connection_does_not_keep_the_server_from_stopping(
    port: int, idle: HTTPConnection
) -> None:
    idle.port = port

    assert b"Hello world" in ask(idle)
    # The fixture asserts that it stops in time, with this connection open until then.
