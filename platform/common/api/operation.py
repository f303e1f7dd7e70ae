"""Addresses for operators: is the process alive, can it work, what are its figures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from common import logs, metrics, request_context, storage
from common.accounts.public import public
from common.problem import problem

log = logs.get_logger(__name__)

PATIENCE_S = 3.0


def _database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()  # of this check's own thread


def _redis() -> None:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=PATIENCE_S, socket_timeout=PATIENCE_S
    )
    with client:
        client.ping()


def _object_store() -> None:
    storage.object_store().check()


@dataclass(frozen=True)
class Readiness:
    """The outcome of one check; the reason is a kind of fault, no address and no secret."""

    name: str
    ready: bool
    reason: str = ""


class Check:
    """A check that answers in time, even when what it asks does not: then it is not asked again meanwhile."""

    def __init__(self, name: str, ask: Callable[[], None]) -> None:
        self.name = name
        self.ask = ask
        self._asking: _Asking | None = None
        self._lock = threading.Lock()

    def start(self) -> _Asking:
        """Ask, or join the question that still hangs."""
        with self._lock:
            if self._asking is None or self._asking.done.is_set():
                self._asking = _Asking(self.ask)
                threading.Thread(target=self._asking.run, name=self.name, daemon=True).start()
            return self._asking


class _Asking:
    def __init__(self, ask: Callable[[], None]) -> None:
        self.ask = ask
        self.done = threading.Event()
        self.fault = ""

    def run(self) -> None:
        try:
            self.ask()
        except Exception as error:  # whatever it is, the answer is "not ready"
            self.fault = type(error).__name__
            log.warning("readiness.failed", check=threading.current_thread().name, exc_info=error)
        finally:
            self.done.set()


CHECKS = (
    Check("database", _database),
    Check("redis", _redis),
    Check("object_store", _object_store),
)


def ask_all(checks: tuple[Check, ...] = CHECKS) -> list[Readiness]:
    """Every check at once, within three seconds altogether."""
    ends = time.monotonic() + PATIENCE_S
    asked = [(check, check.start()) for check in checks]
    outcomes = []
    for check, asking in asked:
        if not asking.done.wait(max(0.0, ends - time.monotonic())):
            outcomes.append(Readiness(check.name, ready=False, reason="no answer in time"))
        else:
            outcomes.append(Readiness(check.name, ready=not asking.fault, reason=asking.fault))
    return outcomes


@public
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """``GET /healthz``: this process answers. Asks nothing else, so that a lost database restarts nobody."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@public
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """``GET /readyz``: database, Redis and object store, each by name; 503 if one is not there."""
    outcomes = ask_all()
    ready = all(outcome.ready for outcome in outcomes)
    return JsonResponse(
        {
            "ready": ready,
            "checks": {o.name: "ok" if o.ready else o.reason for o in outcomes},
        },
        status=200 if ready else 503,
    )


@public
@never_cache
@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """``GET /metrics`` (Prometheus): for this machine itself, and for staff and systems that are logged in."""
    if not (_from_this_machine(request) or _is_operation(request)):
        return problem(
            403, code="not-permitted", detail=_("Figures are given to this machine and to systems.")
        )
    body, content_type = metrics.exposition()
    return HttpResponse(body, content_type=content_type)


def _from_this_machine(request: HttpRequest) -> bool:
    # A proxy on this machine forwards for others, and says so.
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    address = request_context.client_address(request.META)
    return not forwarded and (address.startswith("127.") or address == "::1")


def _is_operation(request: HttpRequest) -> bool:
    user = request.user
    return user.is_authenticated and (user.is_staff or user.is_system)
