"""Bodies that come slowly: who trickles is cut off, and what came is not lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.unreader import SocketUnreader

from common.dicomweb import overdue, request_body
from common.dicomweb.request_body import BodyTooSlow, body_chunks, discard, longest_s

LENGTH = 100_000
MINUTE, HOUR, DAY = 60, 3600, 86_400


@pytest.fixture
def trickle(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Our end of a connection whose other end sends a few bytes at a time, and is never silent for long."""
    monkeypatch.setattr(request_body, "GRACE_S", 0.3)
    monkeypatch.setattr(request_body, "SLOWEST_BYTES_PER_S", 10**9)
    monkeypatch.setattr(overdue, "LOOK_S", 0.02)
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def send() -> None:
        theirs.sendall(b"10000\r\nfirst")
        while not over.wait(0.02):
            try:
                theirs.sendall(b".")
            except OSError:
                return

    sender = threading.Thread(target=send)
    sender.start()
    yield ours
    over.set()
    sender.join()
    ours.close()
    theirs.close()


def request_over(ours: socket.socket, *, chunked: bool) -> Any:
    request = RequestFactory().post("/", content_type="application/dicom")
    unreader = SocketUnreader(ours)
    if chunked:
        reader: Any = ChunkedReader(SimpleNamespace(), unreader)
        request.META["HTTP_TRANSFER_ENCODING"] = "chunked"
    else:
        reader = LengthReader(unreader, LENGTH)
        request.META["CONTENT_LENGTH"] = str(LENGTH)
    request.META |= {
        "wsgi.input": Body(reader),
        "wsgi.input_terminated": True,
        "gunicorn.socket": ours,
    }
    return request


@pytest.mark.parametrize("chunked", [False, True])
def test_who_sends_a_byte_now_and_then_is_cut_off_and_what_came_is_kept(
    trickle: socket.socket, chunked: bool
) -> None:
    request = request_over(trickle, chunked=chunked)
    read: list[bytes] = []
    began = time.monotonic()

    with pytest.raises(BodyTooSlow):
        read.extend(body_chunks(request, most_bytes=10**9))

    assert time.monotonic() - began < 5
    assert b"first" in b"".join(read)
    trickle.sendall(b"the answer can still be given")


def test_the_rest_of_a_refused_body_is_not_awaited_from_who_trickles(
    trickle: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "DISCARD_S", 0.2)
    began = time.monotonic()

    discard(request_over(trickle, chunked=False))

    assert time.monotonic() - began < 5


def test_time_that_we_take_ourselves_is_not_counted(trickle: socket.socket) -> None:
    chunks = request_body._read(Body(LengthReader(SocketUnreader(trickle), 5)), 5, 10, trickle)

    first = next(chunks)
    time.sleep(0.6)

    assert (first, list(chunks)) == (b"10000", [])


def test_a_slow_line_has_the_time_it_needs_and_nobody_stays_for_days() -> None:
    slow_line = 250_000  # bytes a second

    assert longest_s(0) == MINUTE
    assert longest_s(100 * 2**20) > 100 * 2**20 / slow_line * 5
    assert longest_s(2**30) > 2**30 / slow_line
    assert longest_s(8 * 2**30) < DAY / 3
    assert longest_s(HOUR * 1024) < HOUR  # 1 kB a second is too slow for an hour
