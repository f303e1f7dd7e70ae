"""What is known of the request in hand: carried in a context variable, so that logs and audit need no argument."""

from __future__ import annotations

import ipaddress
import random
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from common.proxies import is_trusted

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")


@dataclass(frozen=True)
class RequestContext:
    """Of a web request or of a task; both empty outside of either."""

    request_id: str = ""
    address: str = ""


_NOTHING = RequestContext()
_context: ContextVar[RequestContext] = ContextVar("request_context", default=_NOTHING)


def current() -> RequestContext:
    """The context of the request or task in hand."""
    return _context.get()


def begin(*, request_id: str = "", address: str = "") -> RequestContext:
    """Start a context. It lasts until the next one begins in this thread.

    It is not ended with the view: a streamed body is produced afterwards and its log lines belong to the request.
    """
    context = RequestContext(request_id=accepted_request_id(request_id), address=address)
    _context.set(context)
    return context


def end() -> None:
    """Forget the context: between tasks, and in commands."""
    _context.set(RequestContext())


def accepted_request_id(offered: str) -> str:
    """The identifier a caller sent, if it is a harmless one; else a new one."""
    return offered if _ACCEPTED_ID.match(offered) else f"{random.getrandbits(128):032x}"


def client_address(meta: dict[str, Any]) -> str:
    """The caller's IP address; empty when unknown.

    Behind one of our proxies (``TRUSTED_PROXIES``) it is the last hop of ``X-Forwarded-For``, which the proxy
    wrote: what stands before it was written by the caller and proves nothing.
    """
    address = str(meta.get("REMOTE_ADDR") or "")
    if is_trusted(address, settings.TRUSTED_PROXIES):
        address = str(meta.get("HTTP_X_FORWARDED_FOR") or address).rsplit(",", 1)[-1].strip()
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""
