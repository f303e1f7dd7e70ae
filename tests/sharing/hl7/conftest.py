"""A hospital whose HIS may send messages from this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from common.hl7.framing import Frame
from common.hl7.message import Message, parse
from common.hl7.server import Peer
from sharing.models import HospitalMessage, MessageSender
from sharing.permissions import forget_sights
from sharing.services.hl7 import intake, senders
from tests.support.archive import make_institution, make_user

HERE = Peer("127.0.0.1")
RESIDENT_ID = "990101200001010014"  # synthetic, policy P1


@dataclass
class Sent:
    """What came back for a message, and the row that was kept of it."""

    answer: Message
    row: HospitalMessage | None

    @property
    def code(self) -> str:
        return self.answer.needed("MSA").text(1)

    @property
    def location(self) -> str:
        err = self.answer.first("ERR")
        return "-".join(filter(None, (err.text(2, 1), err.text(2, 3)))) if err else ""

    @property
    def condition(self) -> str:
        err = self.answer.first("ERR")
        return err.text(3) if err else ""


@dataclass
class Hospital:
    """An institution with its integrator's account and its HIS."""

    institution: Any
    account: Any
    sender: MessageSender

    def bytes(
        self,
        kind: str,
        *lines: str,
        control: str = "",
        charset: str = "UNICODE UTF-8",
        codec: str = "utf-8",
        more: str = "",
        at: str = "20260101080000",
    ) -> bytes:
        """A message of this hospital's HIS."""
        control = control or f"C{next(_numbers)}"
        head = (
            f"MSH|^~\\&|HIS|{self.institution.code}|IMAGING|PROVINCE|{at}||{kind}|{control}"
            f"|P|2.5|||{more or '|'}||{charset}"
        )
        return "\r".join([head, *lines, ""]).encode(codec)

    def send(self, kind: str, *lines: str, peer: Peer = HERE, **options: Any) -> Sent:
        return self.send_bytes(self.bytes(kind, *lines, **options), peer=peer)

    def send_bytes(self, data: bytes, *, peer: Peer = HERE, whole: bool = True) -> Sent:
        before = HospitalMessage.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        raw = intake.take(Frame(data, whole=whole), peer)
        row = HospitalMessage.objects.filter(pk__gt=before).first()
        return Sent(parse(raw) if raw else parse(b"MSH|^~\\&|\rMSA|none\r"), row)


_numbers = iter(range(1, 1_000_000))


def make_hospital(code: str, **options: Any) -> Hospital:
    institution = make_institution(code)
    account = make_user(f"his-{code}", "integrator", institution, is_system=True)
    options = {"networks": ("127.0.0.1/32",), "facility": code, **options}
    sender = senders.add_sender(
        actor="test",
        institution_code=code,
        account=account,
        application="HIS",
        **options,
    )
    forget_sights()
    return Hospital(institution, account, sender)


@pytest.fixture
def hospital(db: None) -> Hospital:
    return make_hospital("east")


@pytest.fixture
def make(db: None) -> Callable[..., Hospital]:
    return make_hospital
