"""Parts of `up` that need no servers."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import version
from config.embedded.console import Refusal
from config.embedded.datadir import DataDir, Record
from config.embedded.ports import first_free, is_free, keep_or_any
from config.embedded.processes import MARK, ProcessId, Step, identify, is_running, marked
from config.embedded.specs import ChildSpec
from config.embedded.supervisor import Supervisor, clear_leftovers, steps_due
from config.embedded.up import choose_port

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
TREE = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "time.sleep(600)",
]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DataDir]:
    directory = DataDir(tmp_path / "data")
    directory.prepare()
    yield directory
    directory.unlock()


@pytest.fixture
def supervisor(directory: DataDir) -> Iterator[Supervisor]:
    supervisor = Supervisor(directory, Record(mark=os.urandom(8).hex()), os.environ)
    yield supervisor
    supervisor.stop_all()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_process_is_known_by_number_and_start_time() -> None:
    mine = identify(os.getpid())

    assert mine is not None
    assert is_running(mine)
    assert not is_running(ProcessId(mine.pid, "another start"))


def test_the_settings_file_is_private(directory: DataDir) -> None:
    directory.write_settings({"SECRET_KEY": "x" * 40})

    assert stat.S_IMODE(directory.env_file.stat().st_mode) == 0o600
    assert directory.settings() == {"SECRET_KEY": "x" * 40}


def test_what_holds_patient_data_is_closed_to_others(directory: DataDir) -> None:
    for name in ("objects", "cache", "logs", "redis"):
        assert stat.S_IMODE((directory.path / name).stat().st_mode) == 0o700


def test_two_ups_do_not_share_a_data_directory(directory: DataDir) -> None:
    directory.lock()

    with pytest.raises(Refusal, match=r"Another 'manage\.py up'"):
        DataDir(directory.path).lock()


def test_a_data_directory_of_a_newer_format_is_refused(directory: DataDir) -> None:
    (directory.path / "format").write_text("99\n", encoding="utf-8")

    with pytest.raises(Refusal, match="newer version"):
        DataDir(directory.path).prepare()


def test_a_database_of_a_newer_version_is_refused(directory: DataDir, tmp_path: Path) -> None:
    migrations = tmp_path / "code" / "sharing" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "0001_initial.py").touch()
    (migrations / "0002_lease.py").touch()
    version.remember(directory, tmp_path / "code")
    version.refuse_newer(directory, tmp_path / "code")

    (migrations / "0002_lease.py").unlink()

    with pytest.raises(Refusal, match=r"sharing\.0002_lease"):
        version.refuse_newer(directory, tmp_path / "code")


def test_a_taken_port_that_was_asked_for_is_refused(taken_port: int) -> None:
    with pytest.raises(Refusal, match=f"Port {taken_port} is taken"):
        choose_port(taken_port)


def test_a_taken_port_is_passed_over(taken_port: int) -> None:
    assert not is_free(taken_port)
    assert keep_or_any(taken_port) != taken_port
    assert first_free(taken_port) != taken_port


def test_a_child_that_dies_is_started_again_and_said_so(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    child = supervisor.start(ChildSpec(name="sleeper", argv=SLEEP))
    first = child.identity
    assert first
    os.kill(first.pid, signal.SIGKILL)

    again = supervisor.wait_until(
        lambda: (
            supervisor.children["sleeper"].is_running()
            and supervisor.children["sleeper"].identity != first
        ),
        timeout_s=20,
    )

    assert again
    assert "sleeper ended with signal SIGKILL; started again" in capsys.readouterr().out


def test_each_failure_makes_the_pause_longer(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.start(ChildSpec(name="broken", argv=[sys.executable, "-c", "raise SystemExit(3)"]))

    supervisor.wait_until(lambda: supervisor.children["broken"].failures >= 3, timeout_s=30)

    told = capsys.readouterr().out
    assert [f"again in {pause} s" in told for pause in ("0.5", "1", "2")] == [True] * 3


def test_a_step_that_fails_is_told_with_its_log(supervisor: Supervisor) -> None:
    with pytest.raises(Refusal, match="no such thing"):
        supervisor.run_step(
            "step", [sys.executable, "-c", "raise SystemExit('no such thing')"], said="Trying"
        )


def test_stopping_ends_children_and_their_children(supervisor: Supervisor) -> None:
    supervisor.start(ChildSpec(name="tree", argv=TREE))
    supervisor.wait_until(lambda: len(list(marked(supervisor.record.mark))) == 2, timeout_s=20)

    supervisor.stop_all()

    assert list(marked(supervisor.record.mark)) == []


def test_leftovers_of_a_killed_up_are_ended_and_strangers_are_not(directory: DataDir) -> None:
    mark = os.urandom(8).hex()
    ours = subprocess.Popen(SLEEP, env={**os.environ, MARK: mark}, start_new_session=True)
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    wrong = ProcessId(stranger.pid, "started before the machine did")
    directory.write_record(Record(mark=mark, processes={"worker": wrong}))
    deadline = time.monotonic() + 10
    while not list(marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)

    ended = clear_leftovers(directory)

    try:
        assert ended == 1
        assert ours.wait(timeout=5) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("waited_s", "hurry", "reached"),
    [
        pytest.param(0.1, False, 1, id="asked-at-once"),
        pytest.param(9.0, False, 2, id="asked-harder-after-its-wait"),
        pytest.param(13.0, False, 3, id="killed-after-all-waits"),
        pytest.param(0.1, True, 3, id="killed-at-once-in-a-hurry"),
    ],
)
def test_a_child_is_asked_before_it_is_killed(waited_s: float, hurry: bool, reached: int) -> None:
    steps = (Step(signal.SIGTERM, 8), Step(signal.SIGQUIT, 4))

    assert steps_due(steps, waited_s, hurry=hurry) == reached


def test_what_holds_patients_is_closed_to_other_users(tmp_path: Path) -> None:
    """As root the data directory itself can be passed through, so each directory in it is closed."""
    data = tmp_path / "data"
    (data / "spool").mkdir(parents=True, mode=0o755)
    DataDir(data).prepare()

    for name in ("objects", "cache", "spool", "folders", "demo", "logs", "run", "redis"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o700, name
