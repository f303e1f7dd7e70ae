"""gunicorn's hooks: what a worker does before it serves, and what it leaves in order when it ends."""

from __future__ import annotations

import gc
import os
from typing import Any

from prometheus_client import multiprocess


def post_worker_init(worker: Any) -> None:
    """Load what the first request would wait for; the collector passes over it from now on."""
    from django.urls import reverse  # Django is not set up when this file is read

    reverse("dicomweb:root")
    gc.collect()
    gc.freeze()


def worker_exit(server: Any, worker: Any) -> None:
    """Tell the database what was counted and not told yet; in the process that ends."""
    from django.apps import apps  # Django is not set up when this file is read

    if not apps.ready:
        return  # it never served anything; why is said already
    from common.audit.services import counts

    counts.carry_over_all()


def child_exit(server: Any, worker: Any) -> None:
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
