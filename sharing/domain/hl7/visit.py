"""PV1: the stay or visit in which the patient is treated (section 3.4.3)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from common.hl7.errors import REQUIRED_FIELD_MISSING, MessageError
from common.hl7.message import Message, Repetition, Segment

PROVINCE = ZoneInfo("Asia/Shanghai")

# Patient class, table 0004.
KINDS = {
    "I": "inpatient", "B": "inpatient", "N": "inpatient",
    "E": "emergency",
    "O": "outpatient", "P": "outpatient", "R": "outpatient", "C": "outpatient", "U": "outpatient",
}  # fmt: skip


@dataclass(frozen=True)
class Visit:
    """A visit as a message tells it."""

    number: str
    kind: str = "outpatient"
    department: str = ""
    attending: str = ""
    admitted_at: dt.datetime | None = None  # PV1-44
    discharged_at: dt.datetime | None = None  # PV1-45
    happened_at: dt.datetime | None = None  # EVN-6, EVN-2: of the event itself


def visit_of(message: Message) -> Visit:
    """The visit of the message's PV1.

    Raises:
        MessageError: PV1, or its number, is missing; or a patient class that is none.
    """
    message.needed("PV1")
    found = visit_if_any(message)
    if found is None:
        raise MessageError(
            "PV1-19 is empty: a visit is known by its number.",
            condition=REQUIRED_FIELD_MISSING,
            location="PV1-19",
        )
    return found


def visit_if_any(message: Message) -> Visit | None:
    """The visit of the message's PV1; None where it says none.

    Raises:
        MessageError: a patient class that is none, or a number that is too long.
    """
    pv1 = message.first("PV1")
    number = _number(message, pv1)
    if pv1 is None or not number:
        return None
    evn = message.first("EVN")
    happened = (evn.instant(6, PROVINCE) or evn.instant(2, PROVINCE)) if evn else None
    return Visit(
        number=number,
        kind=_kind(pv1),
        department=(pv1.text(10) or pv1.text(3))[:100],
        attending=clinician(pv1, 7)[:100],
        admitted_at=pv1.instant(44, PROVINCE),
        discharged_at=pv1.instant(45, PROVINCE),
        happened_at=happened,
    )


def _number(message: Message, pv1: Segment | None) -> str:
    number = pv1.text(19) if pv1 else ""
    if not number and (pid := message.first("PID")):
        number = pid.text(18)  # account number: some systems know a stay by it alone
    if len(number) > 64:
        raise MessageError("PV1-19 is too long.", location="PV1-19")
    return number


def _kind(pv1: Segment) -> str:
    code = pv1.text(2).upper()
    if code and code not in KINDS:
        raise MessageError(
            "PV1-2 is no patient class of table 0004.", condition="103", location="PV1-2"
        )
    return KINDS.get(code, "outpatient")


def clinician(segment: Segment, at: int) -> str:
    """The name of a person in an XCN or CNN field, in the order it is read; else their number."""
    values = segment.repetitions(at)
    return name_of_person(values[0]) if values else ""


def name_of_person(value: Repetition) -> str:
    """Han names without a space between family and given name, others with."""
    family, given = value.text(2), value.text(3)
    if family and given:
        han = all("\u3400" <= letter <= "\u9fff" for letter in family + given)
        return f"{family}{given}" if han else f"{given} {family}"
    return family or given or value.text(1)
