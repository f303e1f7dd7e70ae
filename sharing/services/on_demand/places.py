"""How many readers may wait at once: they hold threads of the web server, and others want to read too."""

from __future__ import annotations

import threading

from django.conf import settings

from sharing.errors import TooManyReadersWait

_lock = threading.Lock()
_waiting = 0


class ReaderPlace:
    """The place of one waiting reader; given back by ``close``, again does nothing."""

    def __init__(self) -> None:
        self._open = True

    def close(self) -> None:
        global _waiting
        with _lock:
            if self._open:
                self._open = False
                _waiting -= 1

    def __enter__(self) -> ReaderPlace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reader_place() -> ReaderPlace:
    """A place to wait in.

    Raises:
        TooManyReadersWait: all ``ON_DEMAND_READERS`` of this process are taken.
    """
    global _waiting
    with _lock:
        if _waiting >= settings.ON_DEMAND_READERS:
            raise TooManyReadersWait
        _waiting += 1
    return ReaderPlace()
