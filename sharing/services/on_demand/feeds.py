"""One series on its way in, read while it is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from common.archive.documents import InstanceEntry
from common.errors import DomainError

CHUNK_BYTES = 2**20


class Feed:
    """A watcher of a pull whose accepted instances any number of readers read from the spool file.

    The file is opened once: it stays readable after the pack was sealed and moved into the store, until the
    last reader has left. An accepted instance's bytes do not move, and ``pread`` has no position to share.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: list[InstanceEntry] = []
        self._descriptor = -1
        self._readers = 0
        self.ended = False
        self.error: DomainError | None = None

    # The pulling side

    def begun(self, pack: Path) -> None:
        """The pack is there."""
        with self._changed:
            self._descriptor = os.open(pack, os.O_RDONLY | os.O_CLOEXEC)
            self._changed.notify_all()

    def accepted(self, entry: InstanceEntry) -> None:
        """One more instance can be read."""
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def end(self, error: DomainError | None = None) -> None:
        """Nothing more comes; without ``error`` the series is whole, stored and read back."""
        with self._changed:
            self.ended, self.error = True, error
            self._close_if_left()
            self._changed.notify_all()

    # The reading side

    @property
    def count(self) -> int:
        """How many instances can be read so far."""
        return len(self._entries)

    def join(self) -> bool:
        """Begin to read; False when it has ended already and nothing is left to be read."""
        with self._changed:
            if self.ended and self._readers == 0:
                return False
            self._readers += 1
            return True

    def leave(self) -> None:
        """End of reading, once for each ``join`` that was answered with True."""
        with self._changed:
            self._readers -= 1
            self._close_if_left()

    def entries(self) -> Iterator[InstanceEntry]:
        """Every instance in the order of arrival, waiting for each; ends when the feed ends."""
        position = 0
        while True:
            with self._changed:
                while position >= len(self._entries) and not self.ended:
                    self._changed.wait()
                if position >= len(self._entries):
                    return
                entry = self._entries[position]
            position += 1
            yield entry

    def read(self, entry: InstanceEntry) -> Iterator[bytes]:
        """The bytes of one instance, as they were sent; for those who have joined."""
        position, end = entry.offset, entry.offset + entry.size
        while position < end:
            chunk = os.pread(self._descriptor, min(CHUNK_BYTES, end - position), position)
            if not chunk:
                raise OSError("The spool file is shorter than what was accepted into it.")
            position += len(chunk)
            yield chunk

    def _close_if_left(self) -> None:
        if self.ended and self._readers == 0 and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._entries = []
