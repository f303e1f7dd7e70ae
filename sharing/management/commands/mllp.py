"""``manage.py mllp``: listens for HL7 messages of hospitals."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from common import logs, request_context
from common.hl7.framing import Frame
from common.hl7.server import Limits, Listener, Peer, tls_context
from sharing.services.hl7 import intake

log = logs.get_logger(__name__)


class Command(BaseCommand):
    help = "Listen for HL7 version 2 messages over MLLP. Port and host by MLLP_PORT and MLLP_HOST."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.MLLP_PORT)
        parser.add_argument("--host", default=settings.MLLP_HOST)

    def handle(self, *args: Any, port: int, host: str, **options: Any) -> None:
        if not port:
            raise CommandError("The listener is off: set MLLP_PORT, or say --port.")
        listener = self._listener(host, port)

        def stop(number: int, frame: FrameType | None) -> None:
            listener.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        log.info("mllp.listening", host=host, port=port, tls=bool(settings.MLLP_TLS_CERTIFICATE))
        listener.serve()

    def _listener(self, host: str, port: int) -> Listener:
        tls = None
        if settings.MLLP_TLS_CERTIFICATE:
            tls = tls_context(
                certificate=settings.MLLP_TLS_CERTIFICATE,
                key=settings.MLLP_TLS_KEY,
                client_ca=settings.MLLP_TLS_CLIENT_CA,
            )
        limits = Limits(most_bytes=settings.MLLP_MAX_BYTES, connections=settings.MLLP_CONNECTIONS)
        try:
            return Listener(host=host, port=port, handle=_handle, limits=limits, tls=tls)
        except OSError as error:
            raise CommandError(f"Cannot listen at {host}:{port}: {error.strerror}.") from error


# Connections may be many; those that use the database at once are no more than its pool has.
_places = threading.BoundedSemaphore(settings.WEB_THREADS)


def _handle(frame: Frame, peer: Peer) -> bytes:
    with _places:
        request_context.begin(address=peer.address)
        try:
            return intake.take(frame, peer)
        finally:
            connection.close()  # back to the pool
            request_context.end()
