"""Processes by identity: a number is used again by the system, a number with its start time is not."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Set for every process that `up` starts, so that what a killed `up` left behind is found again, the
# children of its children included, and no stranger's process is taken for one of ours.
MARK = "IMAGING_STARTED_BY"

PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessId:
    """One process, for as long as the machine runs."""

    pid: int
    started: str


@dataclass(frozen=True)
class Step:
    """Ask with this signal, and wait that long before asking harder."""

    signal: signal.Signals
    wait_s: float


def identify(pid: int) -> ProcessId | None:
    """The identity of a running process; None when there is none (a zombie is none)."""
    if PROC.is_dir():
        try:
            text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # The second field is the name in brackets and may hold anything, brackets included.
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in {"Z", "X"} else ProcessId(pid, fields[19])
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return ProcessId(pid, started.strip()) if state and not state.startswith("Z") else None


def is_running(process: ProcessId) -> bool:
    return identify(process.pid) == process


def marked(mark: str) -> Iterator[ProcessId]:
    """Running processes that carry this mark in the environment they were started with.

    Only Linux shows it; elsewhere the recorded numbers must do.
    """
    wanted = f"{MARK}={mark}".encode()
    for entry in PROC.iterdir() if PROC.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # gone meanwhile, or another user's
        process = identify(int(entry.name)) if wanted in environment.split(b"\0") else None
        if process:
            yield process


def send(process: ProcessId, number: signal.Signals, *, group: bool = False) -> None:
    """Signal a process, if it is still the same one."""
    if not is_running(process):
        return
    try:
        if group and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
    except ProcessLookupError:
        return


def wait_gone(processes: Sequence[ProcessId], *, timeout_s: float) -> bool:
    """Whether all of them ended within the time."""
    deadline = time.monotonic() + timeout_s
    while any(is_running(process) for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def stop(process: ProcessId, steps: Sequence[Step]) -> None:
    """Stop a process: each step in turn, then SIGKILL for it and its group."""
    for step in steps:
        send(process, step.signal)
        if wait_gone([process], timeout_s=step.wait_s):
            return
    send(process, signal.SIGKILL, group=True)
    wait_gone([process], timeout_s=5)
