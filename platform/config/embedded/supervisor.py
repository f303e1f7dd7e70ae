"""Keeps a set of child processes running, and stops exactly those."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.embedded.console import Refusal, say, tail
from config.embedded.datadir import DataDir, Record
from config.embedded.processes import (
    MARK,
    ProcessId,
    Step,
    identify,
    is_running,
    marked,
    send,
    stop,
    wait_gone,
)
from config.embedded.specs import ChildSpec

LONGEST_PAUSE_S = 30.0
CALM_AFTER_S = 60.0
LOG_BYTES = 20 * 1024 * 1024


class Stopped(BaseException):
    """The person, or the system, asked to stop."""


@dataclass
class Child:
    spec: ChildSpec
    process: subprocess.Popen[bytes]
    identity: ProcessId | None
    started_at: float
    failures: int = 0
    start_again_at: float | None = None
    done: bool = False

    def is_running(self) -> bool:
        return self.process.poll() is None


class Supervisor:
    """Starts children, restarts those that die, stops all in reverse order."""

    def __init__(self, directory: DataDir, record: Record, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.record = record
        self.environment = dict(environment)
        self.children: dict[str, Child] = {}
        self.hurry = False

    def start(self, spec: ChildSpec) -> Child:
        """Start a child; its output goes to ``logs/NAME.log``."""
        failures = self.children[spec.name].failures if spec.name in self.children else 0
        child = Child(spec, self._spawn(spec), None, time.monotonic(), failures)
        child.identity = identify(child.process.pid)
        self.children[spec.name] = child
        if child.identity:
            self.record.processes[spec.name] = child.identity
            self.directory.write_record(self.record)
        return child

    def _spawn(self, spec: ChildSpec) -> subprocess.Popen[bytes]:
        environment = {
            **(self.environment if spec.env is None else spec.env),
            MARK: self.record.mark,
        }
        with open_log(self.log_of(spec.name)).open("ab") as log:
            return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # options vary
                list(spec.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=spec.cwd,
                # Its own session: Ctrl-C in the terminal reaches us alone, and we stop them in order.
                start_new_session=True,
                **spec.popen_options,
            )

    def log_of(self, name: str) -> Path:
        return self.directory.logs / f"{name}.log"

    def run_step(self, name: str, argv: list[str], *, said: str) -> None:
        """Run a command to its end.

        Raises:
            Refusal: it failed; the text holds the end of its log.
        """
        say(said)
        child = self.start(ChildSpec(name=name, argv=argv, restart=False))
        while child.is_running():
            self.look_after()
            time.sleep(0.05)
        self.children.pop(name)
        self.record.processes.pop(name, None)
        if child.process.returncode != 0:
            raise Refusal(f"'{name}' failed:\n{tail(self.log_of(name))}")

    def look_after(self) -> None:
        """Notice children that ended; start them again, later each time they fail again."""
        now = time.monotonic()
        for child in list(self.children.values()):
            if child.done or child.is_running():
                continue
            if not child.spec.restart:
                child.done = True
                if child.process.returncode != 0:
                    say(
                        f"{child.spec.name} ended with {_status(child)}; log: {self.log_of(child.spec.name)}"
                    )
            elif child.start_again_at is None:
                self._plan_restart(child, now)
            elif now >= child.start_again_at:
                self.start(child.spec)

    def _plan_restart(self, child: Child, now: float) -> None:
        child.failures = 1 if now - child.started_at > CALM_AFTER_S else child.failures + 1
        pause_s = min(LONGEST_PAUSE_S, 0.5 * 2 ** (child.failures - 1))
        child.start_again_at = now + pause_s
        say(
            f"{child.spec.name} ended with {_status(child)}; started again in {pause_s:g} s"
            f" (log: {self.log_of(child.spec.name)})"
        )

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> bool:
        """Look after the children until something is so; False when the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if time.monotonic() > deadline:
                return False
            self.look_after()
            time.sleep(0.1)
        return True

    def run(self) -> None:
        """Look after the children until `Stopped` is raised by a signal."""
        while True:
            self.look_after()
            time.sleep(0.5)

    def stop_all(self) -> None:
        """Stop every child: those that work side by side, then the services that they work with.

        A second Ctrl-C makes it quick.
        """
        running = [child for child in self.children.values() if child.is_running()]
        self._stop_together([child for child in running if not child.spec.is_service])
        for child in reversed([child for child in running if child.spec.is_service]):
            self._stop_together([child])
        end_marked(self.record.mark)
        self.record.processes.clear()

    def _stop_together(self, children: list[Child]) -> None:
        """Each child goes through its own steps; all wait at the same time."""
        began = time.monotonic()
        asked: dict[str, int] = {}
        while True:
            children = [child for child in children if child.is_running()]
            if not children:
                return
            for child in children:
                due = steps_due(child.spec.stop, time.monotonic() - began, hurry=self.hurry)
                for step in child.spec.stop[asked.get(child.spec.name, 0) : due]:
                    child.process.send_signal(step.signal)
                asked[child.spec.name] = due
                if due > len(child.spec.stop):
                    os.killpg(child.process.pid, signal.SIGKILL)
            time.sleep(0.05)


def steps_due(steps: Sequence[Step], waited_s: float, *, hurry: bool) -> int:
    """How many of the steps have been reached by now; one more than there are: SIGKILL."""
    if hurry:
        return len(steps) + 1
    reached = 1
    for step in steps:
        waited_s -= step.wait_s
        if waited_s < 0:
            break
        reached += 1
    return reached


def clear_leftovers(directory: DataDir) -> int:
    """End what a killed `up` left running in this directory; how many processes that were.

    PostgreSQL first gets its fast shutdown. Nothing is touched that is not recorded with its start
    time or does not carry the mark of that `up`.
    """
    record = directory.record()
    if not record.mark:
        return 0
    left = {process for process in record.processes.values() if is_running(process)}
    left |= set(marked(record.mark))
    postgres = record.processes.get("postgres")
    for process in left - {postgres}:
        send(process, signal.SIGTERM)
    if postgres in left and postgres:
        stop(postgres, (Step(signal.SIGINT, 15), Step(signal.SIGQUIT, 5)))
    wait_gone(list(left), timeout_s=10)
    end_marked(record.mark)
    for process in left:
        send(process, signal.SIGKILL)
    wait_gone(list(left), timeout_s=5)
    return len(left)


def end_marked(mark: str) -> None:
    """SIGKILL for what still carries the mark: grandchildren whose parent was killed."""
    left = list(marked(mark))
    for process in left:
        send(process, signal.SIGKILL)
    wait_gone(left, timeout_s=5)


def open_log(path: Path) -> Path:
    """The log to append to; a large one is put aside first, and one older is kept."""
    if path.is_file() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path


def _status(child: Child) -> str:
    code = child.process.returncode
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
