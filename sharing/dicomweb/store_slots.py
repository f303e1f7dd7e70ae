"""How many senders store at once in one process: some threads stay for readers, and some places for other accounts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sharing.errors import StoreBusy

WAIT_S = 3.0  # 32 connections with 25 MB in each request wait for less


class StoreSlots:
    """Places of one process. One account has two thirds of them at the most: of the twelve that the usual sixteen
    threads give, the eight connections of a busy PACS."""

    def __init__(self, places: int) -> None:
        self.places = max(1, places)
        self.most_of_one = self.places - self.places // 3
        self._taken: Counter[int] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, account_id: int) -> Iterator[None]:
        """A place for as long as the request lasts.

        Raises:
            StoreBusy: none became free in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(account_id), WAIT_S):
                raise StoreBusy
            self._taken[account_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken[account_id] -= 1
                if not self._taken[account_id]:
                    del self._taken[account_id]
                self._changed.notify_all()

    def _has_room(self, account_id: int) -> bool:
        return self._taken.total() < self.places and self._taken[account_id] < self.most_of_one
