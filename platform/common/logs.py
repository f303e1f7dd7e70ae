"""Structured logs: one line per event, with the request or task it belongs to, never with patient data."""

from __future__ import annotations

import logging
import logging.config
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common import metrics, request_context
from common.identifiers.resident_id import is_valid_resident_id

Event = MutableMapping[str, Any]

WITHHELD = "[withheld]"

# Names under which patient data arrive by accident, compared without case and underscores.
_PATIENT_KEYS = frozenset(
    {
        "patientname", "patientid", "patientbirthdate", "patient", "patientaddress", "patientsex",
        "otherpatientids", "otherpatientidssequence", "birthdate", "birthday", "residentid", "idnumber",
        "idcard", "identitynumber", "documentnumber", "phone", "phonenumber", "mobile", "telephone",
        "address1", "homeaddress", "accessionnumber", "referringphysicianname", "reporttext", "findings",
        "impression", "diagnosis", "attributes", "dataset", "password", "secret", "token", "authorization",
        "cookie", "sessionid", "querystring", "query",
    }
)  # fmt: skip
_KEPT_KEYS = frozenset({"timestamp", "level", "logger", "request_id", "task_id", "task", "address"})
_RESIDENT_ID = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])")
_PHONE = re.compile(r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9]\d{9}(?![0-9A-Za-z])")
# What both have; most lines have no such thing, and looking for it is much faster.
_LONG_NUMBER = re.compile(r"\d{11}")
# PostgreSQL quotes the refused values in its DETAIL line.
_DATABASE_DETAIL = re.compile(r"(DETAIL:\s*)(?:.*)")


def _inside_uid(match: re.Match[str]) -> bool:
    """Whether the digits are one component of a DICOM UID: dotted to other digits on either side."""
    text, start, end = match.string, match.start(), match.end()
    before = start >= 2 and text[start - 1] == "." and text[start - 2].isdigit()
    after = end + 1 < len(text) and text[end] == "." and text[end + 1].isdigit()
    return before or after


def _mask_id(match: re.Match[str]) -> str:
    digits = match.group()
    if _inside_uid(match) and not is_valid_resident_id(digits):
        return digits
    return f"{digits[:3]}{'*' * 11}{digits[-4:]}"


def _mask_phone(match: re.Match[str]) -> str:
    digits = match.group()
    return digits if _inside_uid(match) else f"{digits[:-8]}****{digits[-4:]}"


def without_patient_data(text: str) -> str:
    """The text with resident IDs and mobile numbers masked (policy P5) and database details withheld."""
    if _LONG_NUMBER.search(text):
        text = _RESIDENT_ID.sub(_mask_id, text)
        text = _PHONE.sub(_mask_phone, text)
    return _DATABASE_DETAIL.sub(rf"\g<1>{WITHHELD}", text)


def _clean(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return without_patient_data(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        text = str(value)
        return value if without_patient_data(text) == text else without_patient_data(text)
    if depth >= 4:
        return WITHHELD
    if isinstance(value, dict):
        return {str(key): _clean_item(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return without_patient_data(str(value))


def _clean_item(key: str, value: Any, depth: int = 0) -> Any:
    if key.replace("_", "").replace("-", "").lower() in _PATIENT_KEYS:
        return WITHHELD
    return _clean(value, depth)


def drop_patient_data(logger: Any, method: str, event: Event) -> Event:
    """Processor: withhold the keys that name patient data or secrets, mask what looks like an identity in the rest."""
    for key, value in list(event.items()):
        if key.startswith("_") or key in _KEPT_KEYS:
            continue
        event[key] = _clean_item(key, value)
    return event


def add_request(logger: Any, method: str, event: Event) -> Event:
    """Processor: the request identifier, unless the event names one."""
    context = request_context.current()
    if context.request_id:
        event.setdefault("request_id", context.request_id)
    return event


_SHARED: list[Callable[..., Any]] = [
    structlog.contextvars.merge_contextvars,
    add_request,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
]


class AccessLine(dict[str, Any]):
    """The facts of an answered request: made by us, so that only the path has to be filtered."""


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """The general way, and a short one for access lines: there is one for every frame that is read."""

    def __init__(self, last: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self._last = last

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, AccessLine):
            return super().format(record)
        line = record.msg
        line["path"] = without_patient_data(line["path"])
        line["event"], line["logger"] = "request", record.name
        line["level"] = record.levelname.lower()
        at = datetime.fromtimestamp(record.created, UTC)
        line["timestamp"] = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
        text: str = self._last(None, line["level"], line)
        return text


def _as_json(logger: Any, method: str, event: Event) -> str:
    return orjson.dumps(event, default=str).decode()


def formatter(form: str) -> logging.Formatter:
    """The last step of every line, ours and the libraries': filter, then JSON (production) or text for a console."""
    last: Any = _as_json if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    return _Formatter(
        last,
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            drop_patient_data,
            last,
        ],
    )


def configure(config: dict[str, Any]) -> None:
    """Set up logging of the process (``LOGGING_CONFIG``): ``{"format": "json" | "console", "level": …}``."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter, "form": config["format"]}},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "stream": sys.stderr,
                }
            },
            "root": {"handlers": ["stderr"], "level": config["level"]},
            "loggers": {
                "django": {"handlers": [], "level": "INFO", "propagate": True},
                # Its lines carry the query string; ours, from the middleware, do not.
                "django.server": {"handlers": [], "level": "ERROR", "propagate": True},
                # Every 4xx would be told twice.
                "django.request": {"level": "ERROR"},
                "urllib3": {"level": "WARNING"},
                "kombu": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
            },
        }
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A structured logger: ``log.info("transfer.started", transfer_id=7)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


_QUIET_ROUTES = frozenset({"healthz", "readyz", "metrics"})
# Their address is a key: whoever reads the log before it is used could use it.
_SECRET_ROUTES = frozenset({"hospitals:join", "sharing:launch"})


def _path(request: HttpRequest, route: str) -> str:
    """The path for the access line: without the query, which may name a patient, and without one-time codes."""
    if route in _SECRET_ROUTES and request.resolver_match is not None:
        return f"/{request.resolver_match.route}"
    return request.path


class RequestContextMiddleware:
    """Gives each request its identifier, answers it back in ``X-Request-ID``, writes the access line, counts."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.log = logging.getLogger("access")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        context = request_context.begin(
            request_id=request.headers.get("X-Request-ID", ""),
            address=request_context.client_address(request.META),
        )
        structlog.contextvars.clear_contextvars()
        response = self.get_response(request)
        response.headers["X-Request-ID"] = context.request_id
        self._tell(request, response, time.perf_counter() - started)
        return response

    def _tell(self, request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
        match = request.resolver_match
        route = (match.view_name or "unnamed") if match else "unmatched"
        metrics.count_request(
            method=request.method or "", route=route, status=response.status_code, seconds=seconds
        )
        level = logging.DEBUG if route.rsplit(":", 1)[-1] in _QUIET_ROUTES else logging.INFO
        if not self.log.isEnabledFor(level):
            return
        line = AccessLine(
            method=request.method,
            path=_path(request, route),
            route=route,
            status=response.status_code,
            # Until the first byte; a streamed body goes on after it.
            wait_ms=round(seconds * 1000, 1),
            user_id=getattr(getattr(request, "user", None), "pk", None),
            request_id=response.headers["X-Request-ID"],
        )
        self.log.handle(self.log.makeRecord("access", level, "", 0, line, (), None))
