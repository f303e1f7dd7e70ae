"""Entries go out to an audit record repository that really listens."""

from __future__ import annotations

import dataclasses
import re
import socket
import threading
from xml.etree import ElementTree

import pytest

from common import audit
from common.audit import sending, sequencer
from common.audit.models import SentPosition
from config.env_audit import SyslogTarget
from tests.common.audit.test_dicom_message import check

HEAD = re.compile(
    rb"<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (\S+) imaging-cloud - IHE\+RFC-3881 - \xef\xbb\xbf"
)


class Repository:
    """A syslog server on loopback that keeps what it is told."""

    def __init__(self, transport):
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.target = SyslogTarget(transport, "127.0.0.1", self.socket.getsockname()[1])
        self.heard = b""
        if transport == "tcp":
            self.socket.listen()
            self.thread = threading.Thread(target=self._hear)
            self.thread.start()

    def _hear(self):
        connection, _ = self.socket.accept()
        with connection:
            while piece := connection.recv(4096):
                self.heard += piece

    def stream(self):
        """The messages of the stream, by their counted octets (RFC 6587)."""
        self.thread.join(10)
        rest, found = self.heard, []
        while rest:
            count, _, rest = rest.partition(b" ")
            found.append(rest[: int(count)])
            rest = rest[int(count) :]
        return found


@pytest.fixture
def repository(settings):
    opened = []

    def make(transport):
        one = Repository(transport)
        opened.append(one)
        settings.AUDIT = dataclasses.replace(settings.AUDIT, syslog=one.target)
        assert sending.send_new() == 0  # what was linked before is not sent
        return one

    yield make
    for one in opened:
        one.socket.close()


def judged(message):
    """The audit message within, after its head was checked."""
    assert HEAD.match(message), message[:100]
    root = ElementTree.fromstring(HEAD.sub(b"", message))
    check(root)
    return root


def test_entries_go_out_once_in_the_order_of_the_chain(actor, settings):
    listener = Repository("tcp")
    settings.AUDIT = dataclasses.replace(settings.AUDIT, syslog=listener.target)
    SentPosition.objects.create(target=f"tcp://127.0.0.1:{listener.target.port}")
    for action in ("login", "study.view", "logout"):
        audit.record(actor, action, detail={"姓": "不"})
    sequencer.chain_all()

    assert sending.send_new() == 3
    roots = [judged(message) for message in listener.stream()]
    listener.socket.close()

    assert [each.find("EventIdentification/EventID").get("csd-code") for each in roots] == [
        "110114", "110103", "110114",
    ]  # fmt: skip
    assert SentPosition.objects.get().sequence == 3


def test_a_datagram_holds_one_message(actor, repository):
    listener = repository("udp")
    audit.record(actor, "login")
    sequencer.chain_all()

    assert sending.send_new() == 1
    assert (
        judged(listener.socket.recv(70_000)).find("ActiveParticipant").get("UserID")
        == "radiologist"
    )
    assert sending.send_new() == 0


def test_a_repository_that_is_away_gets_everything_when_it_is_back(actor, settings):
    away = SyslogTarget("tcp", "127.0.0.1", 9)
    settings.AUDIT = dataclasses.replace(settings.AUDIT, syslog=away)
    SentPosition.objects.create(target="tcp://127.0.0.1:9")
    audit.record(actor, "login")
    sequencer.chain_all()

    assert sending.send_new() == 0
    assert SentPosition.objects.get().sequence == 0


def test_without_a_repository_nothing_is_sent(actor):
    audit.record(actor, "login")

    assert sending.send_new() == 0
    assert not SentPosition.objects.exists()
