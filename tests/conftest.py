"""What every test relies on: services by fixture, sockets closed beyond loopback, skips with reasons."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import services

pytest_plugins = [
    "tests.support.fixtures",
    "tests.support.append_only",
    "tests.support.web",
    "tests.support.second_factor",
    "tests.support.openid",
]

_LOOPBACK = ("127.", "::1", "localhost")
# What the operating system may connect to without a network.
_LOCAL_FAMILIES = {socket.AF_UNIX}


def pytest_configure(config: pytest.Config) -> None:
    """`up` makes it in real life; whitenoise warns where it is absent, and warnings are errors."""
    from django.conf import settings

    if worker := os.environ.get("PYTEST_XDIST_WORKER", ""):
        _keep_apart(settings, number=int(worker.removeprefix("gw")))
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


def _keep_apart(settings: Any, *, number: int) -> None:
    """Each of several workers has a Redis database and a data directory of its own, as it has a database."""
    base, _, first = settings.REDIS_URL.rpartition("/")
    settings.REDIS_URL = f"{base}/{int(first) + 1 + number}"
    settings.CACHES["default"]["LOCATION"] = settings.CELERY_BROKER_URL = settings.REDIS_URL
    settings.DATA_DIR = settings.DATA_DIR / f"worker-{number}"
    settings.STATIC_ROOT = settings.DATA_DIR / "static"


class NetworkClosed(OSError):
    """A test tried to leave the machine."""


@pytest.fixture(scope="session", autouse=True)
def _no_network_beyond_loopback() -> Iterator[None]:
    """Tests that leave the machine would pass or fail with somebody else's weather."""
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
    yield
    patch.undo()


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family not in _LOCAL_FAMILIES and not str(address[0]).startswith(_LOOPBACK):
            raise NetworkClosed(f"tests may not connect to {address[0]}")
        return connect(self, address)

    return guarded


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not tested on this machine, and why, in words."""
    missing = services.missing()
    skipped = len(terminalreporter.stats.get("skipped", []))
    if missing or skipped:
        terminalreporter.section("not tested on this machine")
        for name, reason in sorted(missing.items()):
            terminalreporter.write_line(f"{name}: {reason}")
        terminalreporter.write_line(f"{skipped} tests skipped")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skipped test is a failure: nothing may quietly go untested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        os.environ.get("CI") == "true"
        and exitstatus == 0
        and reporter
        and reporter.stats.get("skipped")
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
