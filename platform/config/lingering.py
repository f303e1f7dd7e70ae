"""gunicorn's threads, staying with a connection whose next request comes at once."""

from __future__ import annotations

import select
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# A viewer and a proxy send the next request within a millisecond or two of the answer.
LINGER_STEP_MS = 2
LINGER_STEPS = 5


class LingeringWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """``gthread`` that answers the next request of a connection in the same thread.

    gunicorn hands a connection back to its main thread after every answer, and from there to a thread again:
    two switches of threads that cost more than a small answer itself (measured: half of a frame's time). Here the
    thread waits some milliseconds first. It does so only while other threads are free, so that nobody waits for it.
    """

    def handle(self, conn: Any) -> Any:
        """Answer requests until none follows at once; what is returned is said of the last one."""
        while True:
            kept = super().handle(conn)
            # Only a plain True: "deferred" is true as well, and HTTP/2 has a loop of its own.
            if kept is not True or not self._follows(conn):
                return kept

    def _follows(self, conn: Any) -> bool:
        """Whether the next request is there, or comes while no other connection needs this thread."""
        if conn.parser.unreader.buf.getvalue():
            return True  # sent together with the one before: its bytes are here already
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        for _ in range(LINGER_STEPS):
            if not self.alive or self._busy() > self.cfg.threads:
                return False
            if poll.poll(LINGER_STEP_MS):
                return True
        return False

    def _busy(self) -> int:
        """Connections that have a thread or wait for one."""
        return int(self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns))
