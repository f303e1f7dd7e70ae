"""Celery's side of the jobs: each task is one service call."""

from __future__ import annotations

import os
import socket
import time

from sharing.jobs import (
    CONSULTATIONS,
    DISCOVER_DUE,
    DISCOVER_WINDOW,
    FIND_UNUSUAL,
    FINISH_MESSAGES,
    GATHER,
    JOIN_REPORTS,
    KNOW_PATIENTS,
    PLAN,
    PULL_SERIES,
    PURGE,
    READ_REPORTS,
    REPAIR_TEXTS,
    SWEEP,
)
from sharing.services import (
    archived_reports,
    candidates,
    charset_repair,
    deleting,
    discovery,
    gathering,
    planning,
    pulling,
    reports,
    sweeping,
    unusual,
)
from sharing.services.consulting import ending
from sharing.services.hl7 import intake


@PULL_SERIES.implement()
def pull_series(*, transfer_id: int) -> None:
    pulling.run_transfer(transfer_id=transfer_id, worker=f"{socket.gethostname()}:{os.getpid()}")
    planning.hand_on()


@PLAN.implement()
def plan() -> None:
    planning.plan()


@DISCOVER_DUE.implement()
def discover_due() -> None:
    discovery.open_due_windows()


@DISCOVER_WINDOW.implement()
def discover_window(*, window_id: int) -> None:
    discovery.run_window(window_id=window_id)


@SWEEP.implement()
def sweep() -> None:
    sweeping.sweep()


@GATHER.implement()
def gather() -> None:
    gathering.run()


@FINISH_MESSAGES.implement()
def finish_messages() -> None:
    intake.finish_received()


@PURGE.implement()
def purge() -> None:
    deleting.purge_due()
    gathering.forget_packed()


@CONSULTATIONS.implement()
def consultations() -> None:
    ending.run()


@KNOW_PATIENTS.implement()
def know_patients() -> None:
    candidates.run()


@FIND_UNUSUAL.implement()
def find_unusual() -> None:
    unusual.find_unusual()


@READ_REPORTS.implement()
def read_reports(*, study_id: int) -> None:
    archived_reports.read_reports(study_id=study_id)


@JOIN_REPORTS.implement()
def join_reports() -> None:
    reports.join_waiting()


@REPAIR_TEXTS.implement()
def repair_texts() -> None:
    until = time.monotonic() + 60
    charset_repair.run(within=lambda: time.monotonic() < until)
