"""Free ports on loopback."""

from __future__ import annotations

import socket


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only fading away counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def keep_or_any(port: int | None) -> int:
    """The port of last time if it is still free, else another: addresses stay the same if they can."""
    return port if port and is_free(port) else any_free()


def first_free(start: int, *, tries: int = 50) -> int | None:
    return next((port for port in range(start, start + tries) if is_free(port)), None)
