"""Background work: a job is declared here and there, implemented in ``tasks.py``, enqueued by services.

The row is the truth, the message only a wake-up: a message that is lost, or sent while the broker is away, is made
good by the sweeper that looks at the rows.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from celery import Task, current_app, shared_task
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerUnavailable
from redis.exceptions import RedisError

from common import logs, metrics, request_context

log = logs.get_logger(__name__)

Id = int | str | uuid.UUID

_SHORT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_registry: dict[str, Job] = {}


class JobMisdeclared(TypeError):
    """A job is declared twice, implemented elsewhere than declared, or runs longer than its message is hidden."""


class NotAnId(TypeError):
    """A task argument is something else than an identifier: it would put data into the broker and its logs."""


@dataclass(frozen=True)
class _Options:
    queue: str
    priority: int | None = None  # 0 is first on Redis
    countdown_s: float = 0


class Job:
    """A handle of one kind of background work.

    Late acknowledgement, soft and hard time limit, retries with back-off and jitter, sent after commit. With
    ``periodic_every_s`` the scheduler also sends it, without arguments.
    """

    def __init__(
        self,
        name: str,
        *,
        queue: str = "default",
        soft_limit_s: int = 300,
        periodic_every_s: float | None = None,
    ) -> None:
        self.name = name
        self.queue = queue
        self.soft_limit_s = soft_limit_s
        self.hard_limit_s = soft_limit_s + max(30, soft_limit_s // 10)
        self.periodic_every_s = periodic_every_s
        self.implementation: Callable[..., Any] | None = None
        hidden_s = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
        if self.hard_limit_s >= hidden_s:
            raise JobMisdeclared(
                f"{name} may run {self.hard_limit_s} s; its message returns after {hidden_s}"
            )
        if name in _registry:
            raise JobMisdeclared(f"{name} is declared twice")
        _registry[name] = self

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    def implement(
        self,
        *,
        autoretry_for: tuple[type[Exception], ...] = (),
        max_retries: int = 3,
        longest_wait_s: int = 600,
    ) -> Callable[[Callable[..., Any]], Task[Any, Any]]:
        """Make the decorated function this job's work. Retries wait 1, 2, 4 … seconds, each with jitter."""

        def decorate(function: Callable[..., Any]) -> Task[Any, Any]:
            if f"{function.__module__}.{function.__name__}" != self.name:
                raise JobMisdeclared(f"{self.name} is implemented in {function.__module__}")
            self.implementation = function
            task: Task[Any, Any] = shared_task(
                name=self.name,
                acks_late=True,
                reject_on_worker_lost=True,
                ignore_result=True,
                soft_time_limit=self.soft_limit_s,
                time_limit=self.hard_limit_s,
                autoretry_for=autoretry_for,
                max_retries=max_retries,
                retry_backoff=True,
                retry_backoff_max=longest_wait_s,
                retry_jitter=True,
            )(function)
            return task

        return decorate

    def enqueue(self, **ids: Id) -> None:
        """Send the job after the current transaction commits; at once outside of one.

        Never raises because of the broker: a job that could not be sent is logged, and its row is found by the
        sweeper.

        Raises:
            NotAnId: an argument is not an integer, a UUID or a short identifier.
        """
        self._enqueue(_Options(self.queue), ids)

    def enqueue_with(
        self,
        ids: dict[str, Id],
        *,
        queue: str | None = None,
        priority: int | None = None,
        countdown_s: float = 0,
    ) -> None:
        """As ``enqueue``, into another lane or not before ``countdown_s``."""
        self._enqueue(_Options(queue or self.queue, priority, countdown_s), ids)

    def _enqueue(self, options: _Options, ids: dict[str, Id]) -> None:
        arguments = {name: _checked_id(self.name, name, value) for name, value in ids.items()}
        transaction.on_commit(partial(self._publish, options, arguments))

    def _publish(self, options: _Options, arguments: dict[str, int | str]) -> None:
        sending: dict[str, Any] = {"queue": options.queue, "retry": False}
        if options.priority is not None:
            sending["priority"] = options.priority
        if options.countdown_s:
            sending["countdown"] = options.countdown_s
        task = current_app.tasks.get(self.name)
        try:
            if task is not None:
                task.apply_async(kwargs=arguments, **sending)
            else:
                current_app.send_task(self.name, kwargs=arguments, **sending)
        except (BrokerUnavailable, KombuError, RedisError, OSError) as error:
            metrics.JOBS_NOT_PUBLISHED.labels(self.name).inc()
            log.warning(
                "job.not_published", job=self.name, reason=type(error).__name__, **arguments
            )


def _checked_id(job: str, name: str, value: object) -> int | str:
    if isinstance(value, bool):
        raise NotAnId(f"{job}: {name} is a truth value")
    if isinstance(value, int):
        return value
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, str) and _SHORT_ID.fullmatch(value):
        if logs.without_patient_data(value) != value:
            raise NotAnId(f"{job}: {name} looks like a person's number")
        return value
    # Without the value: it may be what must not be told.
    raise NotAnId(f"{job}: {name} is no identifier but {type(value).__name__}")


def declared_jobs() -> dict[str, Job]:
    """Every declared job by its name."""
    return dict(_registry)


def queues() -> list[str]:
    """The names of all queues that declared jobs use: what the workers must listen to."""
    return sorted({"default", *(job.queue for job in _registry.values())})


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The scheduler's table: each periodic job; a wake-up that waited a whole period is dropped."""
    return {
        job.name: {
            "task": job.name,
            "schedule": job.periodic_every_s,
            "options": {"queue": job.queue, "expires": job.periodic_every_s},
        }
        for job in _registry.values()
        if job.periodic_every_s is not None
    }


_REQUEST_ID = "imaging_request_id"
_started: dict[str, float] = {}


@before_task_publish.connect(weak=False)
def _send_request_id(headers: dict[str, Any] | None = None, **_: Any) -> None:
    request_id = request_context.current().request_id
    if headers is not None and request_id:
        headers[_REQUEST_ID] = request_id


@task_prerun.connect(weak=False)
def _begin(task_id: str = "", task: Any = None, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task_id=task_id, task=task.name)
    request_context.begin(request_id=_sent_request_id(task) or task_id)
    _started[task_id] = time.monotonic()


def _sent_request_id(task: Any) -> str:
    """A worker finds a header among the request's own fields, a task applied in place under ``headers``."""
    headers = task.request.headers or {}
    return str(task.request.get(_REQUEST_ID) or headers.get(_REQUEST_ID) or "")


@task_postrun.connect(weak=False)
def _finish(task_id: str = "", task: Any = None, state: str | None = None, **_: Any) -> None:
    began = _started.pop(task_id, None)
    if began is not None:
        seconds = time.monotonic() - began
        metrics.TASKS.labels(task.name, (state or "unknown").lower()).observe(seconds)
    structlog.contextvars.clear_contextvars()
    request_context.end()
