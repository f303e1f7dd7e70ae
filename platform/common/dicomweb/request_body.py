"""The body of a request as it comes, of known length or chunked, without Django's own reading of it.

Django reads nothing of a request without Content-Length (its WSGIRequest bounds the stream by that header). A server
that takes the chunks apart itself says so by ``wsgi.input_terminated``; then its stream ends where the body does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any

from django.http import HttpRequest
from gunicorn.http.errors import ParseException

from common.dicomweb.overdue import watched
from common.errors import DomainError, Kind

CHUNK_BYTES = 256 * 1024
STALL_S = 60.0  # a sender that is silent for so long is gone
GRACE_S = 60.0  # so long anybody may take
# For each minute that a request has lasted, its sender must have kept this rate from the beginning: a slow line has
# the time for what it sends, and nobody stays for days.
SLOWEST_BYTES_PER_S = 1024
DISCARD_BYTES, DISCARD_S = 64 * 2**20, 5.0


class BodyBroken(DomainError):
    """The request's body ended before its end."""

    code = "body-broken"


class BodyTooSlow(BodyBroken):
    """The request's body came too slowly, or stopped coming."""

    code = "body-too-slow"


class BodyTooLarge(DomainError):
    """The request is larger than is taken at once: send fewer instances in each."""

    code = "body-too-large"


class LengthRequired(DomainError):
    """This server does not take chunked requests: send a Content-Length."""

    code = "length-required"


class EncodingUnsupported(DomainError):
    """The body is compressed: send it as it is (Content-Encoding: identity)."""

    code = "content-encoding-unsupported"
    kind = Kind.INVALID


def body_chunks(request: HttpRequest, *, most_bytes: int) -> Iterator[bytes]:
    """The body, once. What is wrong with its length or encoding is raised here, the rest while it is read.

    Raises:
        EncodingUnsupported, LengthRequired, BodyTooLarge: before anything is read.
        BodyBroken, BodyTooLarge: while reading.
    """
    environ = request.META
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise EncodingUnsupported
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    if chunked and not environ.get("wsgi.input_terminated"):
        raise LengthRequired
    length = None if chunked else _content_length(environ)
    if length is not None and length > most_bytes:
        raise BodyTooLarge
    stream = environ["wsgi.input"]
    return _read(stream, length, most_bytes, environ.get("gunicorn.socket"))


def discard(request: HttpRequest) -> None:
    """Read on for a while what nobody wants, so that a sender in the middle of its body sees the answer: closing a
    connection with unread bytes resets it, and the answer is lost."""
    environ = request.META
    stream = environ.get("wsgi.input")
    if stream is None or not environ.get("wsgi.input_terminated"):
        return
    left, until = DISCARD_BYTES, time.monotonic() + DISCARD_S
    socket = environ.get("gunicorn.socket")
    with suppress(BodyBroken), _time_limit(socket, DISCARD_S), watched(socket) as watch:
        watch.until = until
        while left > 0 and time.monotonic() < until:
            chunk = _next(stream, min(CHUNK_BYTES, left))
            if not chunk:
                return
            left -= len(chunk)


def _content_length(environ: dict[str, Any]) -> int:
    text = str(environ.get("CONTENT_LENGTH") or "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _read(stream: Any, length: int | None, most: int, socket: Any) -> Iterator[bytes]:
    total, waited = 0, 0.0  # what is done with it between the reads is not the sender's time
    with _time_limit(socket), watched(socket) as watch:
        while length is None or total < length:
            if waited > longest_s(total):
                raise BodyTooSlow
            wanted = CHUNK_BYTES if length is None else min(CHUNK_BYTES, length - total)
            began = time.monotonic()
            watch.until = began + longest_s(total + wanted) - waited
            try:
                chunk = _next(stream, wanted)
            except BodyBroken as error:
                if rest := _left_behind(stream):
                    yield rest
                if watch.was_cut:
                    raise BodyTooSlow from error
                raise
            watch.until = math.inf
            waited += time.monotonic() - began
            if not chunk:
                break
            total += len(chunk)
            if total > most:
                raise BodyTooLarge
            yield chunk
    if watch.was_cut:
        raise BodyTooSlow
    if length is not None and total < length:
        raise BodyBroken(f"The body ended after {total} of {length} bytes.")


def longest_s(total: int) -> float:
    """How long a request may take at the most to bring so many bytes."""
    return max(GRACE_S, math.sqrt(total * 60 / SLOWEST_BYTES_PER_S))


def _next(stream: Any, wanted: int) -> bytes:
    try:
        return bytes(stream.read(wanted))
    except TimeoutError as error:
        raise BodyTooSlow from error
    except (
        OSError,
        ValueError,
        ParseException,
    ) as error:  # a line that broke; chunks that are none
        raise BodyBroken from error


def _left_behind(stream: Any) -> bytes:
    """What came before the fault, and still lies in gunicorn's buffers: whole instances may be among it.

    A reader of known length has nothing but the body in its source's buffer, a chunked one has its framing there.
    """
    reader = getattr(stream, "reader", None)
    holders = [stream, reader]
    if hasattr(reader, "length"):
        holders.append(getattr(reader, "unreader", None))
    buffers = [getattr(holder, "buf", None) for holder in holders]
    return b"".join(buffer.getvalue() for buffer in buffers if isinstance(buffer, BytesIO))


@contextmanager
def _time_limit(socket: Any, seconds: float = STALL_S) -> Iterator[None]:
    if socket is None:
        yield
        return
    before = socket.gettimeout()
    socket.settimeout(seconds)
    try:
        yield
    finally:
        with suppress(OSError):  # closed meanwhile
            socket.settimeout(before)
