"""Jobs: declared, enqueued after commit, refused, and lost without harm."""

from __future__ import annotations

import sys
import types
import uuid

import pytest
from celery import current_app
from django.db import transaction

from common import jobs, logs
from common.jobs import Job, JobMisdeclared, NotAnId


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(jobs, "_registry", {})
    return jobs._registry


@pytest.fixture
def module(monkeypatch):
    """A ``tasks.py`` of its own, under a name that no other test uses."""
    name = f"tasks_{uuid.uuid4().hex}"
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    yield name
    for task in [task for task in current_app.tasks if task.startswith(name)]:
        current_app.tasks.unregister(task)


@pytest.fixture
def sent(monkeypatch):
    """What goes to the broker."""
    messages = []
    monkeypatch.setattr(
        type(current_app._get_current_object()),
        "send_task",
        lambda app, name, **kwargs: messages.append((name, kwargs)),
    )
    return messages


def implementation(job, module, body=lambda **ids: None, **options):
    def work(**ids):
        return body(**ids)

    work.__module__ = module
    return job.implement(**options)(work)


def test_a_job_is_sent_after_the_commit_and_not_before(
    registry, sent, db, django_capture_on_commit_callbacks
):
    job = Job("nowhere.work", queue="transfer")

    with django_capture_on_commit_callbacks(execute=True):
        job.enqueue(transfer_id=7)
        assert sent == []

    assert sent == [
        ("nowhere.work", {"kwargs": {"transfer_id": 7}, "queue": "transfer", "retry": False})
    ]


@pytest.mark.django_db(transaction=True)
def test_a_job_of_a_rolled_back_transaction_is_never_sent(registry, sent):
    job = Job("nowhere.work")

    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012  # what is rolled back
        job.enqueue(transfer_id=7)
        raise RuntimeError

    assert sent == []


def test_another_lane_and_a_delay_are_options(
    registry, sent, db, django_capture_on_commit_callbacks
):
    job = Job("nowhere.work")

    with django_capture_on_commit_callbacks(execute=True):
        job.enqueue_with({"study_id": 1}, queue="transfer.on-demand", priority=0, countdown_s=5)

    assert sent[0][1] == {
        "kwargs": {"study_id": 1}, "queue": "transfer.on-demand", "retry": False, "priority": 0, "countdown": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [7, uuid.UUID(int=1), "1.2.840.10008.1.2", "0b7e5f0e-3f2f-4c62-9b39-7d2d4c6a0000", "H1"],
)
def test_identifiers_are_accepted(registry, sent, db, value):
    Job("nowhere.work").enqueue(thing_id=value)


@pytest.mark.parametrize(
    "value",
    ["张三", "Smith^John", "a b", "x" * 65, "", None, 1.5, True, b"x", ["1"], {"id": 1},
     "990101200001010014", "13812345678"],
)  # fmt: skip
def test_anything_but_an_identifier_is_refused_without_quoting_it(registry, sent, db, value):
    with pytest.raises(NotAnId) as refused:
        Job("nowhere.work").enqueue(thing_id=value)

    assert sent == []
    assert not isinstance(value, str) or not value or value not in str(refused.value)


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_is_logged_and_does_not_reach_the_caller(registry, module):
    from celery import Celery

    job = Job(f"{module}.work")
    # Nothing listens on port 1: a real connection, really refused.
    away = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
    before = jobs.metrics.JOBS_NOT_PUBLISHED.labels(job.name)._value.get()
    patch = pytest.MonkeyPatch()
    patch.setattr(jobs, "current_app", away)
    lines = []
    patch.setattr(
        jobs.log, "warning", lambda event, **facts: lines.append((event, facts)), raising=False
    )

    with transaction.atomic():
        job.enqueue(transfer_id=7)
    patch.undo()

    assert lines[0][0] == "job.not_published"
    assert lines[0][1]["transfer_id"] == 7
    assert jobs.metrics.JOBS_NOT_PUBLISHED.labels(job.name)._value.get() == before + 1


def test_an_implementation_is_acknowledged_late_and_bounded_in_time(registry, module):
    job = Job(f"{module}.work", queue="transfer", soft_limit_s=1800)

    task = implementation(job, module, autoretry_for=(OSError,), max_retries=8)

    assert task.name == job.name
    assert (task.acks_late, task.reject_on_worker_lost, task.ignore_result) == (True, True, True)
    assert (task.soft_time_limit, task.time_limit) == (1800, 1980)
    assert (task.max_retries, task.autoretry_for, task.retry_jitter) == (8, (OSError,), True)
    assert task.retry_backoff
    assert job.implementation is not None


def test_the_work_is_done_with_the_identifiers(registry, module):
    done = []
    task = implementation(Job(f"{module}.work"), module, body=lambda **ids: done.append(ids))

    task.apply(kwargs={"study_id": 3}).get()

    assert done == [{"study_id": 3}]


def test_a_task_carries_the_request_that_asked_for_it(registry, module):
    seen = []
    task = implementation(
        Job(f"{module}.work"),
        module,
        body=lambda: seen.append(logs.request_context.current().request_id),
    )

    task.apply(headers={"imaging_request_id": "request-0001"}).get()

    assert seen == ["request-0001"]
    assert logs.request_context.current().request_id == ""


def test_a_job_implemented_elsewhere_than_declared_is_refused(registry, module):
    with pytest.raises(JobMisdeclared):
        implementation(Job("elsewhere.tasks.work"), module)


def test_a_name_is_declared_once(registry):
    Job("nowhere.work")

    with pytest.raises(JobMisdeclared, match="twice"):
        Job("nowhere.work")


def test_a_job_may_not_outlive_its_message(registry):
    with pytest.raises(JobMisdeclared, match="returns after"):
        Job("nowhere.work", soft_limit_s=3 * 3600)


def test_the_schedule_and_the_queues_come_from_the_declarations(registry):
    Job("nowhere.sweep", queue="transfer", periodic_every_s=60)
    Job("nowhere.work")

    assert jobs.beat_schedule() == {
        "nowhere.sweep": {
            "task": "nowhere.sweep", "schedule": 60, "options": {"queue": "transfer", "expires": 60},
        }
    }  # fmt: skip
    assert jobs.queues() == ["default", "transfer"]
