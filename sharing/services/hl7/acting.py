"""Which message does what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.hl7.message import Message
from sharing.models import MessageSender
from sharing.services.hl7 import adt, ordering, results


@dataclass(frozen=True)
class Outcome:
    """What a message changed, as a code; ``ignored``: nothing, and nothing was meant to."""

    code: str
    ignored: bool = False


_Act = Callable[[Message, MessageSender], str]

ACTS: dict[tuple[str, str], _Act] = {
    ("ADT", "A01"): adt.admit,
    ("ADT", "A04"): adt.admit,
    ("ADT", "A05"): adt.keep_patient,
    ("ADT", "A08"): adt.update,
    ("ADT", "A03"): adt.discharge,
    ("ADT", "A11"): adt.discharge,
    ("ADT", "A13"): adt.readmit,
    ("ADT", "A28"): adt.keep_patient,
    ("ADT", "A31"): adt.keep_patient,
    ("ADT", "A40"): adt.merge,
    ("ORM", "O01"): ordering.take_orders,
    ("OMI", "O23"): ordering.take_orders,
    ("ORU", "R01"): results.take_reports,
}
KINDS = frozenset(kind for kind, _event in ACTS)


def is_read(kind: str) -> bool:
    """Whether messages of this type are read at all."""
    return kind in KINDS


def act(message: Message, sender: MessageSender) -> Outcome:
    """Do what the message says, in the caller's transaction.

    Raises:
        DomainError: it cannot be done.
    """
    found = ACTS.get((message.kind, message.event))
    if found is None:
        return Outcome("event-not-needed", ignored=True)
    return Outcome(found(message, sender))
