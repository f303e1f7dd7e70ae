"""Ends the reading of what comes too late.

A socket's timeout bounds each silence, never the whole: who sends a byte a minute is never late by it. One thread of
the process looks once a second, and shuts the reading side of what is overdue; whoever reads there sees an end.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RD
from typing import Any

LOOK_S = 1.0
THREAD_NAME = "overdue"

_watched: set[Watch] = set()
_changed = threading.Condition()
_thread: threading.Thread | None = None


class Watch:
    """One socket that is read from; ``until`` is moved on by its reader."""

    def __init__(self, socket: Any) -> None:
        self.until = math.inf  # of time.monotonic()
        self.was_cut = False
        self._socket = socket

    def cut(self) -> None:
        """The reader sees the end of the stream, and can still answer."""
        self.was_cut = True
        with suppress(OSError):  # closed meanwhile
            self._socket.shutdown(SHUT_RD)


@contextmanager
def watched(socket: Any) -> Iterator[Watch]:
    """Cut the socket when ``until`` of the watch has passed. Without a socket nothing is ever cut."""
    watch = Watch(socket)
    if socket is None:
        yield watch
        return
    with _changed:
        _watched.add(watch)
        _start()
        _changed.notify()
    try:
        yield watch
    finally:
        with _changed:
            _watched.discard(watch)


def _start() -> None:
    global _thread
    if _thread is None or not _thread.is_alive():  # a forked process has no threads of its parent
        _thread = threading.Thread(target=_look, name=THREAD_NAME, daemon=True)
        _thread.start()


def _look() -> None:
    while True:
        with _changed:
            while not _watched:
                _changed.wait()
            now = time.monotonic()
            for watch in _watched:
                if now > watch.until and not watch.was_cut:
                    watch.cut()
        time.sleep(LOOK_S)
