"""A small bounded memory of a process for answers that may be some seconds old."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """At most ``entries`` values (and ``weight`` units in all), each for ``keep_s`` seconds.

    Least recently used ones go first. Safe between threads. Without ``keep_s`` values stay until
    they are crowded out: right for what never changes under its key.
    """

    def __init__(
        self, *, entries: int, keep_s: float | None = None, weight: int | None = None
    ) -> None:
        self._entries, self._keep_s, self._weight = entries, keep_s, weight
        self._values: OrderedDict[K, tuple[float, int, V]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            if self._keep_s is not None and time.monotonic() - found[0] >= self._keep_s:
                self._drop(key)
                return None
            self._values.move_to_end(key)
            return found[2]

    def put(self, key: K, value: V, *, weight: int = 0) -> None:
        """Keep a value; one that alone is heavier than the whole memory is not kept."""
        if self._weight is not None and weight > self._weight:
            return
        with self._lock:
            if key in self._values:
                self._drop(key)
            self._values[key] = (time.monotonic(), weight, value)
            self._held += weight
            while len(self._values) > self._entries or (
                self._weight is not None and self._held > self._weight
            ):
                self._drop(next(iter(self._values)))

    def drop(self, key: K) -> bool:
        """Forget one value; False when it was not kept."""
        with self._lock:
            known = key in self._values
            if known:
                self._drop(key)
            return known

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._held = 0

    def _drop(self, key: K) -> None:
        self._held -= self._values.pop(key)[1]
