"""One message: taken from the listener, kept, acted on once, and answered when all that is in the database."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import OperationalError, transaction
from django.utils import timezone

from common import audit, logs, metrics, privacy
from common.errors import DomainError, Kind
from common.hl7 import acknowledgement as ack
from common.hl7.acknowledgement import Answer, Code, Header
from common.hl7.charset import codec_of, decoded
from common.hl7.errors import (
    INTERNAL_ERROR,
    REQUIRED_FIELD_MISSING,
    UNSUPPORTED_MESSAGE_TYPE,
    UNSUPPORTED_PROCESSING_ID,
    UNSUPPORTED_VERSION,
    MessageError,
    NotAMessage,
)
from common.hl7.framing import Frame
from common.hl7.message import Message, lines_of, parse
from sharing.errors import SenderUnknown
from sharing.models import HospitalMessage, MessageSender
from sharing.services.hl7 import senders
from sharing.services.hl7.acting import Outcome, act, is_read

if TYPE_CHECKING:
    from common.accounts.models import User
    from common.hl7.server import Peer

log = logs.get_logger(__name__)

CONTEXT = "sharing.hospitalmessage.body"
State = HospitalMessage.State
_AGAIN = 200  # messages that one round finishes


@dataclass(frozen=True)
class _Kept:
    """A row of ours for what came, and whether it was there before."""

    message_id: int
    answer: Answer | None  # of before; None: still to be acted on


def take(frame: Frame, peer: Peer) -> bytes:
    """The answer to one frame. Nothing is raised: whatever goes wrong is answered or, without a header, silent."""
    header = ack.try_header(frame.data)
    answer = _answer(frame, header, peer)
    kind = header.kind if is_read(header.kind) else "other"
    metrics.HL7_MESSAGES.labels(kind, answer.code.value).inc()
    if not _is_wanted(answer, header):
        return b""
    return ack.build(
        _in_mode(answer, header), header, now=timezone.localtime(), codec=_codec_of(header)
    )


def _answer(frame: Frame, header: Header, peer: Peer) -> Answer:
    try:
        sender = _checked_sender(frame, header, peer)
        kept = _keep(frame.data, header, sender)
        if kept.answer is not None:
            return kept.answer
        return run(message_id=kept.message_id, actor=sender.account)
    except SenderUnknown as error:
        log.warning("hl7.sender_unknown", address=peer.address)
        return Answer(Code.REJECTED, error.message, INTERNAL_ERROR, "MSH-3")
    except MessageError as error:
        return Answer(Code.REJECTED, error.message, error.condition, error.location)
    except DatabaseError as error:
        log.exception("hl7.database", reason=type(error).__name__)
        return Answer(Code.REJECTED, "Not kept: send it again later.", INTERNAL_ERROR, "MSH")


def _checked_sender(frame: Frame, header: Header, peer: Peer) -> MessageSender:
    """Who sent it; what cannot be kept for anybody is refused here.

    Raises:
        SenderUnknown: nobody who may.
        MessageError: no message, too long, without control id, of another version, or for tests.
    """
    if not header.application and not header.control_id:
        raise NotAMessage
    sender = senders.sender_of(header, peer)
    if not frame.whole:
        raise MessageError("The message is longer than is taken.", location="MSH")
    if not header.control_id:
        raise MessageError("MSH-10 is empty.", condition=REQUIRED_FIELD_MISSING, location="MSH-10")
    if header.version and not header.version.startswith("2."):
        raise MessageError(
            "Only versions 2.x are read.", condition=UNSUPPORTED_VERSION, location="MSH-12"
        )
    if header.processing_id[:1].upper() not in ("", "P"):
        raise MessageError(
            "Only messages of production (P) are taken.",
            condition=UNSUPPORTED_PROCESSING_ID,
            location="MSH-11",
        )
    return sender


def _keep(data: bytes, header: Header, sender: MessageSender) -> _Kept:
    """The row of this message; committed before anything is done with it."""
    with transaction.atomic():
        row, created = HospitalMessage.objects.get_or_create(
            sender=sender,
            control_id=header.control_id,
            digest=_digest(data, header),
            defaults={
                "institution_id": sender.institution_id,
                "kind": header.kind[:16],
                "event": header.event[:16],
                "body": privacy.encrypt(data, context=CONTEXT),
                "size_bytes": len(data),
            },
        )
    settled = not created and row.state in (State.DONE, State.IGNORED)
    return _Kept(row.pk, answer_of(row) if settled else None)


def _digest(data: bytes, header: Header) -> bytes:
    """Of everything but the time of sending (MSH-7), which changes when a sender tries again."""
    first, sep, rest = data.partition(b"\r")
    mark = header.delimiters.field.encode()
    fields = first.split(mark)
    if len(fields) > 6:
        fields[6] = b""
    plain = mark.join(fields) + sep + rest
    return privacy.lookup_hash(hashlib.sha256(plain).hexdigest(), purpose="hl7 message")


def run(*, message_id: int, actor: User | str) -> Answer:
    """Act on a kept message, once, in one transaction with its new state; the answer to it.

    A message that is done already is answered as before. What fails leaves nothing but its reason.
    """
    try:
        with transaction.atomic():
            row = (
                HospitalMessage.objects.select_for_update(of=("self",))
                .select_related("sender__account", "institution")
                .get(pk=message_id)
            )
            if row.state in (State.DONE, State.IGNORED):
                return answer_of(row)
            outcome = _act(row)
            _settle(row, State.IGNORED if outcome.ignored else State.DONE, outcome=outcome.code)
            audit.record(
                actor, f"hl7.{row.state}", row, detail={"type": str(row), "outcome": outcome.code}
            )
    except OperationalError:
        raise  # the database went away: the row stays received, the sender sends it again
    except DomainError as error:
        return _fail(message_id, error, actor)
    except Exception:  # a loop over many senders: told, kept, answered
        log.exception("hl7.fault", message_id=message_id)
        return _fail(message_id, _Fault(), actor)
    return answer_of(row)


class _Fault(DomainError):
    """The message could not be acted on by a fault of ours: it is kept, and can be replayed."""

    code = "hl7-fault"


def _act(row: HospitalMessage) -> Outcome:
    if not is_read(row.kind):
        return Outcome("unsupported", ignored=True)
    return act(parsed(row), row.sender)


def parsed(row: HospitalMessage) -> Message:
    """The kept message, opened and parted."""
    data = privacy.decrypt(bytes(row.body), context=CONTEXT)
    return parse(data, override=row.sender.character_set)


def segments_of(row: HospitalMessage) -> list[str]:
    """The segments of a kept message as text, for people: also of one that cannot be parted."""
    data = privacy.decrypt(bytes(row.body), context=CONTEXT)
    try:
        text, _codec = decoded(data, override=row.sender.character_set)
    except MessageError:
        text = data.decode("utf-8", "replace")
    return lines_of(text)


def _settle(
    row: HospitalMessage, state: State, *, outcome: str = "", error: DomainError | None = None
) -> None:
    row.state, row.outcome, row.settled_at = state, outcome, timezone.now()
    row.tries = min(row.tries + 1, 32_000)
    row.error_code = error.code if error else ""
    row.error_text = error.message[:300] if error else ""
    row.condition = getattr(error, "condition", INTERNAL_ERROR) if error else ""
    row.location = getattr(error, "location", "")[:16]
    row.save()


def _fail(message_id: int, error: DomainError, actor: User | str) -> Answer:
    """Write why, unless somebody else has done it meanwhile."""
    with transaction.atomic():
        row = HospitalMessage.objects.select_for_update().get(pk=message_id)
        if row.state in (State.DONE, State.IGNORED):
            return answer_of(row)
        _settle(row, State.FAILED, error=error)
        audit.record(
            actor,
            "hl7.failed",
            row,
            result="failure",
            detail={"type": str(row), "code": error.code, "location": row.location},
        )
    if error.kind == Kind.UNAVAILABLE:
        return Answer(Code.REJECTED, row.error_text, row.condition, row.location)
    return answer_of(row)


def answer_of(row: HospitalMessage) -> Answer:
    """What is said about a message that has come to its end."""
    if row.state == State.FAILED:
        return Answer(Code.ERROR, row.error_text, row.condition, row.location)
    if row.outcome == "unsupported":
        text = "Messages of this type are not read here."
        return Answer(Code.REJECTED, text, UNSUPPORTED_MESSAGE_TYPE, "MSH-9")
    return ack.ACCEPTED


def finish_received(*, older_than_s: int = 60) -> int:
    """Act on what was kept and not acted on: a crash, or a database that went away. Returns how many.

    Only what is older than an answer takes: younger ones are in somebody's hand.
    """
    before = timezone.now() - timedelta(seconds=older_than_s)
    waiting = HospitalMessage.objects.filter(state=State.RECEIVED, received_at__lt=before)
    ids = list(waiting.order_by("pk").values_list("pk", flat=True)[:_AGAIN])
    for message_id in ids:
        run(message_id=message_id, actor="mllp")
    return len(ids)


def _is_wanted(answer: Answer, header: Header) -> bool:
    """Whether the sender wants to hear it: MSH-15, table 0155."""
    good = answer.code != Code.REJECTED
    return {"NE": False, "ER": not good, "SU": good}.get(header.accept_acknowledgement, True)


def _in_mode(answer: Answer, header: Header) -> Answer:
    """Enhanced mode asks whether the message is kept, not what became of it: that stands on the page."""
    if not header.is_enhanced:
        return answer
    if answer.code != Code.REJECTED:
        return Answer(Code.COMMIT_ACCEPTED)
    return Answer(Code.COMMIT_REJECTED, answer.text, answer.condition, answer.location)


def _codec_of(header: Header) -> str:
    try:
        return codec_of(header.declared_charset) if header.declared_charset else "utf-8"
    except MessageError:
        return "utf-8"
