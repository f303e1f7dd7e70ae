"""Single parts: entity tags, ranges of bytes, conditions (RFC 9110 §13 and §14; PS3.18 §8.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from common.dicomweb.server import Closable
from common.problem import dicomweb_error

SMALL_BYTES = 2**20
_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})", re.IGNORECASE)

ReadRange = Callable[[int, int], Iterable[bytes]]


def single_part(
    request: HttpRequest,
    *,
    content_type: str,
    size: int,
    read: ReadRange,
    etag: str,
    owner: Closable,
) -> HttpResponseBase:
    """One body, or the range of it that is asked for: 200, 206 or 416.

    ``read(offset, length)`` gives bytes of it; ``owner`` is closed with the answer. A list of ranges is answered
    with the whole, as RFC 9110 §14.2 allows.
    """
    asked = _range_of(request, size, etag)
    if asked == (0, 0) and size:
        owner.close()
        return dicomweb_error(
            request,
            416,
            f"The resource has {size} bytes.",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes", "ETag": etag},
        )
    offset, length = asked or (0, size)
    answer = _body(read(offset, length), length, content_type, owner)
    answer["Content-Length"] = str(length)
    answer["Accept-Ranges"] = "bytes"
    if asked is not None:
        answer.status_code = 206
        answer["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    return revalidated(answer, etag)


def revalidated(answer: HttpResponseBase, etag: str) -> HttpResponseBase:
    """The answer with its tag; asked again each time, so that a withdrawn right works."""
    answer["ETag"] = etag
    answer["Cache-Control"] = "private, no-cache"
    answer["Vary"] = "Accept, Cookie, Authorization"
    return answer


def _body(
    chunks: Iterable[bytes], length: int, content_type: str, owner: Closable
) -> HttpResponseBase:
    if length > SMALL_BYTES:
        return StreamingHttpResponse(Owned(chunks, owner), content_type=content_type)
    try:
        return HttpResponse(b"".join(chunks), content_type=content_type)
    finally:
        owner.close()


def _range_of(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """(offset, length) of the one range asked for; None for the whole; (0, 0) where there is none such."""
    text = request.headers.get("Range", "")
    if request.method != "GET" or not text or not _same(request.headers.get("If-Range"), etag):
        return None
    found = _ONE_RANGE.fullmatch(text.strip())
    if found is None or (not found[1] and not found[2]):
        return None
    if not found[1]:  # so many from the end
        length = min(int(found[2]), size)
        return (size - length, length) if length else (0, 0)
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None  # no range at all: to be ignored
    return (first, last - first + 1) if first < size else (0, 0)


def _same(if_range: str | None, etag: str) -> bool:
    """Whether the rest still belongs to what the caller has; a date is never certain enough (§13.1.5)."""
    return if_range is None or (if_range.strip() == etag and not etag.startswith("W/"))


class Owned:
    """A body in a single part; what it is read from is closed with the response."""

    def __init__(self, chunks: Iterable[bytes], owner: Closable) -> None:
        self._chunks, self._owner = chunks, owner

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        close: Callable[[], None] | None = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self._owner.close()
