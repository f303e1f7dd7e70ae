"""`manage.py up` and `down` as a person uses them, with nothing in the environment."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded.datadir import DataDir
from config.embedded.processes import marked
from tests.support.services import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
SET_BY_UP = {
    "DATABASE_URL", "REDIS_URL", "OBJECT_STORE_URL", "SECRET_KEY", "FIELD_KEYS", "LOOKUP_KEY",
    "IMAGING_DATA_DIR", "ALLOW_LOOPBACK_HOSPITALS", "DJANGO_SETTINGS_MODULE", "PYTHONPATH",
}  # fmt: skip


def manage(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_UP}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


@pytest.fixture
def private_home() -> Iterator[Path]:
    """A directory that only its owner can enter, as root's home is."""
    home = Path(tempfile.mkdtemp(prefix="home-"))
    home.chmod(0o700)
    yield home
    elsewhere = home / "var" / "postgres-place"
    if elsewhere.is_file():
        shutil.rmtree(home / "var" / elsewhere.read_text(encoding="utf-8"))
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def installation(private_home: Path) -> Iterator[Path]:
    data = private_home / "var"
    yield data
    manage("down", "--data", str(data))


def ready(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
        return int(answer.status)


def start(data: Path) -> int:
    port = free_port()
    up = manage("up", "--detach", "--no-viewer", "--data", str(data), "--port", str(port))
    assert up.returncode == 0, up.stderr
    assert f"http://127.0.0.1:{port}/" in up.stdout
    # It repeats what the terminal shows, the demo's log-ins among it.
    assert (data / "logs" / "up.log").stat().st_mode & 0o077 == 0
    return port


def users(data: Path) -> str:
    code = "from common.accounts.models import User; print(sorted(User.objects.values_list('username', flat=True)))"
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_UP}
    answer = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "shell", "--verbosity", "0", "-c", code],
        env={**environment, "IMAGING_DATA_DIR": str(data), "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return answer.stdout.strip().splitlines()[-1]


def add_user(data: Path, name: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_UP}
    subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "createsuperuser", "--noinput", "--username", name,
         "--email", "someone@example.org"],
        env={**environment, "IMAGING_DATA_DIR": str(data), "DJANGO_SUPERUSER_PASSWORD": "a-long-password-1"},
        capture_output=True,
        check=True,
        timeout=120,
    )  # fmt: skip


def test_up_in_a_private_home_survives_a_kill_keeps_its_data_and_opens_no_door(
    private_home: Path, installation: Path
) -> None:
    modes = {
        path: stat.S_IMODE(path.stat().st_mode) for path in (private_home, *private_home.parents)
    }
    port = start(installation)
    assert ready(port) == 200
    add_user(installation, "keeper")
    record = DataDir(installation).record()
    assert record.supervisor

    os.kill(record.supervisor.pid, signal.SIGKILL)
    again = start(installation)

    assert ready(again) == 200
    assert users(installation) == "['keeper']"
    assert list(marked(record.mark)) == []  # the first one's processes are gone
    second = DataDir(installation).record()

    down = manage("down", "--data", str(installation))

    assert down.returncode == 0, down.stderr
    assert list(marked(second.mark)) == []
    assert modes == {path: stat.S_IMODE(path.stat().st_mode) for path in modes}


def test_up_says_that_it_is_already_running_and_down_twice_is_fine(installation: Path) -> None:
    port = start(installation)

    second = manage("up", "--data", str(installation))

    assert second.returncode == 0
    assert f"Already running: http://127.0.0.1:{port}/" in second.stdout
    assert manage("down", "--data", str(installation)).returncode == 0
    assert manage("down", "--data", str(installation)).returncode == 0


def test_down_stops_what_a_killed_up_left(installation: Path) -> None:
    start(installation)
    record = DataDir(installation).record()
    assert record.supervisor
    os.kill(record.supervisor.pid, signal.SIGKILL)

    down = manage("down", "--data", str(installation))

    assert down.returncode == 0, down.stderr
    assert "left-over processes included" in down.stdout
    assert list(marked(record.mark)) == []


def test_down_where_nothing_ever_ran_is_fine(tmp_path: Path) -> None:
    down = manage("down", "--data", str(tmp_path / "never"))

    assert down.returncode == 0
    assert "Nothing has ever run" in down.stdout
