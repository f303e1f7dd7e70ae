"""The listener answers each message on its connection, and bounds every sender in bytes, time and number."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.hl7.framing import Frame, framed
from common.hl7.server import Limits, Listener, Peer, tls_context

Start = Callable[..., Listener]


def echo(frame: Frame, peer: Peer) -> bytes:
    return (b"ok " if frame.whole else b"long ") + frame.data[:20]


@pytest.fixture
def start() -> Iterator[Start]:
    """``start(handle, limits=…, tls=…)`` listens on a free port of loopback until the test ends."""
    running: list[tuple[Listener, threading.Thread]] = []

    def begin(handle: Any = echo, **options: Any) -> Listener:
        listener = Listener(host="127.0.0.1", port=0, handle=handle, **options)
        thread = threading.Thread(target=listener.serve)
        thread.start()
        running.append((listener, thread))
        return listener

    yield begin
    for listener, thread in running:
        listener.stop()
        thread.join(timeout=15)
        assert not thread.is_alive()


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=10)


def read_frame(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\x1c\r"):
        chunk = connection.recv(4096)
        if not chunk:
            return data
        data += chunk
    return data[1:-2]


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_messages_of_one_connection_are_answered_in_their_order(start: Start) -> None:
    with connect(start()) as connection:
        connection.sendall(framed(b"one") + framed(b"two"))
        received = b""
        while received.count(b"\x1c") < 2:
            received += connection.recv(4096)
        assert received == framed(b"ok one") + framed(b"ok two")
        for part in (b"\x0bth", b"ree\x1c", b"\r"):
            connection.sendall(part)
            time.sleep(0.05)
        assert read_frame(connection) == b"ok three"


def test_a_message_longer_than_is_taken_is_answered_and_the_connection_goes_on(
    start: Start,
) -> None:
    listener = start(limits=Limits(most_bytes=1000))
    with connect(listener) as connection:
        connection.sendall(framed(b"M" * 5000))
        assert read_frame(connection).startswith(b"long MMM")
        connection.sendall(framed(b"short"))
        assert read_frame(connection) == b"ok short"


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"x" * 5000, Limits(garbage_bytes=1000)),
        (b"\x0b" + b"M" * 40_000, Limits(most_bytes=1000)),
    ],
    ids=["garbage", "endless"],
)
def test_a_stream_that_is_no_message_is_cut_off(start: Start, sent: bytes, limits: Limits) -> None:
    with connect(start(limits=limits)) as connection:
        connection.sendall(sent)
        assert is_closed(connection)


def test_a_sender_that_trickles_is_cut_off_although_it_never_pauses(start: Start) -> None:
    with connect(start(limits=Limits(message_s=1.0))) as connection:
        connection.sendall(b"\x0b")
        began = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012  # which of the writes it is, is chance
            while time.monotonic() - began < 10:
                connection.sendall(b"M")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


def test_a_connection_that_says_nothing_ends(start: Start) -> None:
    with connect(start(limits=Limits(idle_s=0.6))) as connection:
        assert is_closed(connection)


def test_of_too_many_connections_the_last_is_refused_and_the_others_work(start: Start) -> None:
    listener = start(limits=Limits(connections=4))  # two of them for one address
    first, second = connect(listener), connect(listener)
    with first, second, connect(listener) as third:
        assert is_closed(third)
        for connection in (first, second):
            connection.sendall(framed(b"still"))
            assert read_frame(connection) == b"ok still"
    time.sleep(0.8)
    with connect(listener) as again:
        again.sendall(framed(b"free"))
        assert read_frame(again) == b"ok free"


def test_a_message_in_hand_is_answered_before_the_listener_ends(start: Start) -> None:
    begun = threading.Event()

    def slowly(frame: Frame, peer: Peer) -> bytes:
        begun.set()
        time.sleep(1)
        return b"done"

    listener = start(slowly)
    with connect(listener) as connection:
        connection.sendall(framed(b"one"))
        begun.wait(5)
        listener.stop()
        assert read_frame(connection) == b"done"


def make_certificate(directory: Path, name: str, issuer: Any = None) -> tuple[Path, Path, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer = issuer or (subject, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(signer[1], hashes.SHA256())
    )
    certificate_path, key_path = directory / f"{name}.crt", directory / f"{name}.key"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_path, key_path, (subject, key)


def test_over_tls_the_client_certificate_says_who_it_is(start: Start, tmp_path: Path) -> None:
    ca, _, authority = make_certificate(tmp_path, "ca")
    server, server_key, _ = make_certificate(tmp_path, "localhost", authority)
    his, his_key, _ = make_certificate(tmp_path, "his", authority)
    seen: list[Peer] = []

    def note(frame: Frame, peer: Peer) -> bytes:
        seen.append(peer)
        return b"ok"

    listener = start(
        note, tls=tls_context(certificate=str(server), key=str(server_key), client_ca=str(ca))
    )
    client = ssl.create_default_context(cafile=str(ca))
    client.load_cert_chain(his, his_key)
    with client.wrap_socket(connect(listener), server_hostname="localhost") as connection:
        connection.sendall(framed(b"one"))
        assert read_frame(connection) == b"ok"
    expected = x509.load_pem_x509_certificate(his.read_bytes()).fingerprint(hashes.SHA256()).hex()
    assert seen == [Peer("127.0.0.1", expected)]


def test_over_tls_without_a_certificate_nothing_is_taken(start: Start, tmp_path: Path) -> None:
    ca, _, authority = make_certificate(tmp_path, "ca")
    server, server_key, _ = make_certificate(tmp_path, "localhost", authority)
    listener = start(
        tls=tls_context(certificate=str(server), key=str(server_key), client_ca=str(ca))
    )
    client = ssl.create_default_context(cafile=str(ca))

    def try_without() -> None:
        with client.wrap_socket(connect(listener), server_hostname="localhost") as connection:
            connection.sendall(framed(b"one"))
            connection.recv(10)  # TLS 1.3 refuses at the first read

    with pytest.raises((ssl.SSLError, ConnectionError)):
        try_without()
    with connect(listener) as plain:
        plain.sendall(framed(b"one"))
        with suppress(ConnectionError):
            assert b"ok" not in plain.recv(100)
