"""Every declared job is implemented, and some worker serves its queue."""

from __future__ import annotations

import pytest

from common.jobs import beat_schedule, declared_jobs
from config.celery import app
from config.queues import QUEUES, WORKERS

app.loader.import_default_modules()
JOBS = declared_jobs()


def test_there_are_jobs() -> None:
    assert "sharing.tasks.pull_series" in JOBS


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_declared_job_is_implemented(name: str) -> None:
    assert JOBS[name].implementation is not None
    assert name in app.tasks


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_declared_job_has_a_queue_that_a_worker_serves(name: str) -> None:
    served = {queue for queues, _processes in WORKERS.values() for queue in queues}

    assert JOBS[name].queue in served


def test_every_queue_is_served() -> None:
    served = {queue for queues, _processes in WORKERS.values() for queue in queues}

    assert served == set(QUEUES)


def test_the_scheduler_knows_the_periodic_jobs() -> None:
    periodic = {name for name, job in JOBS.items() if job.periodic_every_s}

    assert periodic
    assert set(app.conf.beat_schedule) == periodic == set(beat_schedule())


def test_nothing_runs_that_was_not_declared() -> None:
    ours = {name for name in app.tasks if not name.startswith("celery.")}

    assert ours == set(JOBS)
