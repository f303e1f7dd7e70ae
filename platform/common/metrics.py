"""Figures for Prometheus. Labels are names of routes and jobs, never paths, identifiers or patient data."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Histogram(
    "imaging_request_seconds",
    "Time to the first byte of an answer, by route.",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
TASKS = Histogram(
    "imaging_task_seconds",
    "Run time of background work, by job and outcome.",
    ["job", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 7200),
)
JOBS_NOT_PUBLISHED = Counter(
    "imaging_jobs_not_published_total",
    "Wake-ups that the broker did not take; the sweeper finds their rows.",
    ["job"],
)
EVENTS = Counter(
    "imaging_event_deliveries_total",
    "Deliveries of events, by handler and outcome.",
    ["handler", "outcome"],
)
HL7_MESSAGES = Counter(
    "imaging_hl7_messages_total",
    "HL7 messages answered, by type of those that are read here, and by acknowledgement code.",
    ["type", "code"],
)
HL7_REFUSED = Counter(
    "imaging_hl7_refused_total",
    "Connections and messages that the HL7 listener ended without an answer, by reason.",
    ["reason"],
)
HL7_CONNECTIONS = Gauge(
    "imaging_hl7_connections",
    "Open connections of HL7 senders.",
    multiprocess_mode="livesum",
)


def count_request(*, method: str, route: str, status: int, seconds: float) -> None:
    """Note one answered request."""
    _series(method if method in _METHODS else "other", route, status).observe(seconds)


@lru_cache(maxsize=4096)
def _series(method: str, route: str, status: int) -> Histogram:
    """The library's look-up costs more than the counting; there are only so many routes."""
    return REQUESTS.labels(method, route, str(status))


def exposition() -> tuple[bytes, str]:
    """All figures and their media type; of all worker processes where ``PROMETHEUS_MULTIPROC_DIR`` is set.

    The library reads that variable itself when it is imported, and chooses its kind of value by it.
    """
    registry = REGISTRY
    if getattr(values.ValueClass, "_multiprocess", False):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
