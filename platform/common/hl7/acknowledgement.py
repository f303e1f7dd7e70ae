"""Answers to messages: MSH, MSA and, where something is wrong, ERR (chapter 2, sections 2.9 and 2.14)."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from enum import StrEnum

from common.hl7 import charset
from common.hl7.errors import NotAMessage
from common.hl7.escapes import DEFAULT, Delimiters, escaped
from common.hl7.message import delimiters_of

_MOST = 200


class Code(StrEnum):
    """MSA-1, table 0008."""

    ACCEPTED = "AA"
    ERROR = "AE"  # the message is understood and cannot be done: an error of its content
    REJECTED = "AR"  # wrong type, version, sender; or we cannot now: send it again later
    COMMIT_ACCEPTED = "CA"
    COMMIT_ERROR = "CE"
    COMMIT_REJECTED = "CR"


@dataclass(frozen=True)
class Answer:
    """What is said about one message."""

    code: Code
    text: str = ""
    condition: str = ""  # ERR-3, table 0357
    location: str = ""  # ERR-2: PID-3

    @property
    def accepted(self) -> bool:
        return self.code in {Code.ACCEPTED, Code.COMMIT_ACCEPTED}


ACCEPTED = Answer(Code.ACCEPTED)


@dataclass(frozen=True)
class Header:
    """What an answer needs of the message's header, read leniently: also a bad message is answered."""

    delimiters: Delimiters = DEFAULT
    application: str = ""
    facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    kind: str = ""
    event: str = ""
    control_id: str = ""
    processing_id: str = ""
    version: str = ""
    accept_acknowledgement: str = ""
    declared_charset: str = ""

    @property
    def is_enhanced(self) -> bool:
        """Whether the sender asks for accept acknowledgements (MSH-15)."""
        return bool(self.accept_acknowledgement)


def read_header(data: bytes, *, codec: str = "utf-8") -> Header:
    """The header of whatever came, as far as it can be read.

    Raises:
        NotAMessage: no MSH.
    """
    marks = delimiters_of(data)
    line = data.split(b"\r", 1)[0].split(b"\n", 1)[0][:4096].decode(codec, "replace")
    fields = ["MSH", *line.split(marks.field)]

    def text(number: int, component: int = 1) -> str:
        if number >= len(fields):
            return ""
        parts = fields[number].split(marks.repetition)[0].split(marks.component)
        return parts[component - 1].strip()[:_MOST] if component <= len(parts) else ""

    return Header(
        delimiters=marks,
        application=text(3),
        facility=text(4),
        receiving_application=text(5),
        receiving_facility=text(6),
        kind=text(9).upper(),
        event=text(9, 2).upper(),
        control_id=text(10),
        processing_id=text(11),
        version=text(12),
        accept_acknowledgement=text(15).upper(),
        declared_charset=charset.declared(data),
    )


def try_header(data: bytes) -> Header:
    """As ``read_header``; an empty one where there is none."""
    try:
        return read_header(data)
    except NotAMessage:
        return Header()


def build(answer: Answer, header: Header, *, now: dt.datetime, codec: str = "utf-8") -> bytes:
    """The acknowledgement, in the sender's delimiters and, where it declared one, its character set.

    ERR in the form of version 2.5 and later; older senders read MSA-3.
    """
    d = header.delimiters
    f = d.field

    kind = d.component.join(
        part for part in ("ACK", header.event, "ACK" if header.event else "") if part
    )
    msh = [
        "MSH" + f + d.encoding_characters.rstrip("\0"),
        header.receiving_application or "IMAGING",
        header.receiving_facility,
        header.application,
        header.facility,
        now.strftime("%Y%m%d%H%M%S%z"),
        "",
        kind,
        secrets.token_hex(10),
        header.processing_id or "P",
        header.version or "2.5",
        "", "", "", "", "",
        header.declared_charset,
    ]  # fmt: skip
    msa = ["MSA", answer.code.value, header.control_id, _text(answer, d)]
    lines = [f.join(msh), f.join(msa).rstrip(f)]
    if not answer.accepted:
        lines.append(_err(answer, d))
    return ("\r".join(lines) + "\r").encode(codec, "replace")


def _text(answer: Answer, d: Delimiters) -> str:
    return escaped(answer.text[:_MOST], d)


def _err(answer: Answer, d: Delimiters) -> str:
    segment, _, number = answer.location.partition("-")
    location = d.component.join(part for part in (segment, "1" if segment else "", number) if part)
    condition = d.component.join((answer.condition or "207", "", "HL70357"))
    return d.field.join(["ERR", "", location, condition, "E", "", "", "", _text(answer, d)])
