"""The listening side of MLLP: many senders at once, each of them bounded in bytes and in time."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from common import logs, metrics
from common.hl7.framing import Frame, Framer, framed

log = logs.get_logger(__name__)

_CHUNK = 65_536
_TICK_S = 0.5  # so often a waiting connection looks whether it should end


@dataclass(frozen=True)
class Peer:
    """Who is at the other end, as the connection proves it; nothing of what a message says."""

    address: str
    certificate: str = ""  # SHA-256 of the client certificate, hexadecimal


@dataclass(frozen=True)
class Limits:
    """What one connection, and all of them together, may take."""

    most_bytes: int = 4 * 2**20  # of one message
    connections: int = 64
    message_s: float = 30.0  # from the first byte of a message to its last
    idle_s: float = 600.0  # between two messages
    handshake_s: float = 10.0
    answer_s: float = 10.0
    garbage_bytes: int = 65_536  # outside of messages, before the connection is closed

    @property
    def connections_of_one(self) -> int:
        """One address cannot take every place."""
        return max(1, self.connections // 2)


# (message, peer) to the answer; b"" for none. Called in the connection's thread, one message after the other.
Handle = Callable[[Frame, Peer], bytes]


class Listener:
    """Accepts connections and answers each message when ``handle`` has; ends when told to."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        handle: Handle,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._handle = handle
        self._limits = limits or Limits()
        self._tls = tls
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._threads: set[threading.Thread] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=128)
        self._socket.settimeout(_TICK_S)
        self.port: int = self._socket.getsockname()[1]

    def serve(self) -> None:
        """Accept until ``stop``; then wait for messages in hand."""
        try:
            while not self._stopping.is_set():
                try:
                    connection, name = self._socket.accept()
                except TimeoutError:
                    continue
                self._admit(connection, str(name[0]))
        finally:
            self._socket.close()
            self._wait_for_threads()

    def stop(self) -> None:
        """End soon: no new connections, and no new messages on those that are open. Safe in a signal handler."""
        self._stopping.set()

    def _wait_for_threads(self) -> None:
        deadline = time.monotonic() + self._limits.answer_s
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _admit(self, connection: socket.socket, address: str) -> None:
        with self._lock:
            full = self._open.total() >= self._limits.connections
            if full or self._open[address] >= self._limits.connections_of_one:
                refused = True
            else:
                refused = False
                self._open[address] += 1
                metrics.HL7_CONNECTIONS.set(self._open.total())
        if refused:
            metrics.HL7_REFUSED.labels("connections").inc()
            log.warning("mllp.refused", reason="too many connections", address=address)
            connection.close()
            return
        thread = threading.Thread(target=self._run, args=(connection, address), daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _run(self, connection: socket.socket, address: str) -> None:
        try:
            self._converse(connection, address)
        except (OSError, ssl.SSLError) as error:
            log.info("mllp.broken", address=address, reason=type(error).__name__)
        finally:
            connection.close()
            with self._lock:
                self._open[address] -= 1
                if not self._open[address]:
                    del self._open[address]
                self._threads.discard(threading.current_thread())
                metrics.HL7_CONNECTIONS.set(self._open.total())

    def _converse(self, plain: socket.socket, address: str) -> None:
        plain.settimeout(self._limits.handshake_s)
        connection = plain
        if self._tls is not None:
            connection = self._tls.wrap_socket(plain, server_side=True)
        with connection:
            peer = Peer(address, _fingerprint(connection))
            self._take_messages(connection, peer)

    def _take_messages(self, connection: socket.socket, peer: Peer) -> None:
        framer = Framer(most_bytes=self._limits.most_bytes)
        connection.settimeout(_TICK_S)
        began: float | None = None  # when the message in hand did
        quiet_since = time.monotonic()
        while not self._stopping.is_set():
            now = time.monotonic()
            if began is not None and now - began > self._limits.message_s:
                return _refuse(peer, "slow")
            if began is None and now - quiet_since > self._limits.idle_s:
                return None
            try:
                chunk = connection.recv(_CHUNK)
            except TimeoutError:
                continue
            if not chunk:
                if framer.inside:
                    _refuse(peer, "cut off")
                return None
            frames = framer.feed(chunk)
            for frame in frames:
                self._answer(connection, frame, peer)
            if frames:
                quiet_since, began = time.monotonic(), None
            if framer.inside:
                began = began or now
            if framer.garbage > self._limits.garbage_bytes:
                return _refuse(peer, "garbage")
            if framer.swallowed > 16 * self._limits.most_bytes:
                return _refuse(peer, "endless")
        return None

    def _answer(self, connection: socket.socket, frame: Frame, peer: Peer) -> None:
        answer = self._handle(frame, peer)
        if not answer:
            return
        connection.settimeout(self._limits.answer_s)
        connection.sendall(framed(answer))
        connection.settimeout(_TICK_S)


def _refuse(peer: Peer, reason: str) -> None:
    metrics.HL7_REFUSED.labels(reason).inc()
    log.warning("mllp.refused", reason=reason, address=peer.address)


def _fingerprint(connection: socket.socket) -> str:
    if not isinstance(connection, ssl.SSLSocket):
        return ""
    certificate = connection.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def tls_context(*, certificate: str, key: str, client_ca: str = "") -> ssl.SSLContext:
    """TLS 1.2 or newer; with ``client_ca`` only clients that show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key or None)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context
