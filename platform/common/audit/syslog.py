"""Entries sent to an audit record repository: DICOM audit messages over syslog (IHE ITI-20, RFC 5424).

UDP (RFC 5426) one message a datagram; TCP and TLS with octet counting (RFC 6587 section 3.4.1, RFC 5425). A message
is sent after its link is made, in the order of the chain, and again when it is not known to have gone out.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from common.audit.dicom_message import Source, audit_message
from common.audit.verify import LinkedEntry

TIMEOUT_S = 10.0
_PRIORITY = 10 * 8 + 5  # facility authpriv, severity notice, as ITI-20 asks for
_MESSAGE_ID = "IHE+RFC-3881"
_BOM = b"\xef\xbb\xbf"
_LARGEST_DATAGRAM = 65_507


class Target(Protocol):
    """Where the repository listens."""

    @property
    def transport(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


class RepositoryUnreachable(OSError):
    """The repository does not take messages at this moment."""


def framed(item: LinkedEntry, source: Source, *, hostname: str) -> bytes:
    """The syslog message of one entry."""
    if item.fields is None:
        raise ValueError("an entry that is gone has no message")
    head = f"<{_PRIORITY}>1 {item.fields['at']} {_word(hostname)} {_word(source.source_id)} - {_MESSAGE_ID} - "
    return head.encode("ascii") + _BOM + audit_message(item.fields, source)


def send(items: Iterable[LinkedEntry], *, target: Target, source: Source) -> Iterator[int]:
    """Send entries in order; yields the sequence of each that went out.

    Raises:
        RepositoryUnreachable: it does not answer, or hangs up.
    """
    hostname = socket.gethostname()
    try:
        with _connected(target) as connection:
            for item in items:
                if item.fields is not None:
                    message = framed(item, source, hostname=hostname)
                    _put(connection, target.transport, message)
                yield item.sequence
    except OSError as error:
        raise RepositoryUnreachable(f"{target.transport}://{target.host}:{target.port}") from error


def _put(connection: socket.socket, transport: str, message: bytes) -> None:
    if transport == "udp":
        connection.send(message[:_LARGEST_DATAGRAM])
    else:
        connection.sendall(f"{len(message)} ".encode() + message)


@contextmanager
def _connected(target: Target) -> Iterator[socket.socket]:
    if target.transport == "udp":
        family, kind, proto, _, address = socket.getaddrinfo(
            target.host, target.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, proto) as datagrams:
            datagrams.connect(address)
            yield datagrams
        return
    with socket.create_connection((target.host, target.port), timeout=TIMEOUT_S) as plain:
        if target.transport != "tls":
            yield plain
            return
        context = (
            ssl.create_default_context()
        )  # of the system's authorities; SSL_CERT_FILE names others
        with context.wrap_socket(plain, server_hostname=target.host) as sealed:
            yield sealed


def _word(text: str) -> str:
    """PRINTUSASCII without blanks (RFC 5424 section 6)."""
    plain = "".join(sign for sign in text if "!" <= sign <= "~")[:48]
    return plain or "-"
