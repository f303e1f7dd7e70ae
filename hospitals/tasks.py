"""Celery's side of the jobs: each task is one service call."""

from __future__ import annotations

from hospitals import services
from hospitals.jobs import PROBE, PROBE_DUE


@PROBE_DUE.implement()
def probe_due() -> None:
    services.ask_for_due_probes()


@PROBE.implement()
def probe(*, institution_id: int) -> None:
    services.probe_if_due(institution_id=institution_id)
