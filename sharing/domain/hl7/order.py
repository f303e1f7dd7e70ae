"""ORC, OBR, IPC and ZDS: what was ordered (chapters 4 and 4.5.6; IHE RAD TF-2 for ZDS)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from common.dicom.uids import is_valid_uid
from common.hl7.errors import (
    REQUIRED_FIELD_MISSING,
    TABLE_VALUE_NOT_FOUND,
    MessageError,
)
from common.hl7.message import Message, Segment
from sharing.domain.hl7.visit import PROVINCE, clinician

# Order control, table 0119: what becomes of the order.
CONTROLS = {
    "NW": "ordered", "SN": "ordered", "XO": "ordered", "XX": "ordered", "XR": "ordered", "RU": "ordered",
    "RP": "ordered", "RO": "ordered", "PA": "ordered", "CH": "ordered", "OK": "ordered", "UX": "ordered",
    "CA": "cancelled", "OC": "cancelled", "CR": "cancelled", "DC": "cancelled", "OD": "cancelled", "DR": "cancelled",
    "SC": "",  # the status in ORC-5 decides
    "RE": "completed",
}  # fmt: skip
STATUSES = {"CA": "cancelled", "DC": "cancelled", "CM": "completed"}  # ORC-5, table 0038


@dataclass(frozen=True)
class OrderLine:
    """One ordered examination."""

    state: str
    placer_number: str
    filler_number: str = ""
    accession_number: str = ""
    study_instance_uid: str = ""
    procedure_code: str = ""
    procedure_name: str = ""
    modality: str = ""
    reason: str = ""
    priority: str = ""
    ordered_by: str = ""
    ordered_at: dt.datetime | None = None


def orders_of(message: Message) -> list[OrderLine]:
    """Every order of an ORM or OMI.

    Raises:
        MessageError: no ORC, an order without a number, or a control code that is none.
    """
    groups = message.groups("ORC")
    if not groups:
        message.needed("ORC")
    study_uid = _study_uid(message)
    return [_line(group, study_uid if len(groups) == 1 else "") for group in groups]


def _line(group: list[Segment], message_uid: str) -> OrderLine:
    orc = group[0]
    obr = next((each for each in group if each.name == "OBR"), None)
    ipc = next((each for each in group if each.name == "IPC"), None)
    placer = orc.text(2) or (obr.text(2) if obr else "")
    filler = orc.text(3) or (obr.text(3) if obr else "")
    if not placer and not filler:
        raise MessageError(
            "ORC-2 and ORC-3 are empty: an order is known by its number.",
            condition=REQUIRED_FIELD_MISSING,
            location="ORC-2",
        )
    uid = ipc.text(3) if ipc else ""
    return OrderLine(
        state=_state(orc),
        placer_number=_bounded(placer or filler, 75, "ORC-2"),
        filler_number=_bounded(filler, 75, "ORC-3"),
        accession_number=_bounded(_accession(obr, ipc), 64, "OBR-18"),
        study_instance_uid=_checked_uid(uid, "IPC-3") or message_uid,
        procedure_code=obr.text(4)[:64] if obr else "",
        procedure_name=(obr.text(4, 2) or obr.text(4, 5))[:200] if obr else "",
        modality=_modality(obr, ipc),
        reason=(obr.text(31, 2) or obr.text(31) or obr.text(13))[:400] if obr else "",
        priority=(orc.text(7, 6) or (obr.text(27, 6) if obr else ""))[:16],
        ordered_by=(clinician(orc, 12) or (clinician(obr, 16) if obr else ""))[:100],
        ordered_at=orc.instant(9, PROVINCE) or (obr.instant(6, PROVINCE) if obr else None),
    )


def _state(orc: Segment) -> str:
    code = orc.text(1).upper()
    if code not in CONTROLS:
        raise MessageError(
            "ORC-1 is no order control that is read here.",
            condition=TABLE_VALUE_NOT_FOUND,
            location="ORC-1",
        )
    return CONTROLS[code] or STATUSES.get(orc.text(5).upper(), "ordered")


def _accession(obr: Segment | None, ipc: Segment | None) -> str:
    """IPC-1 of an OMI; OBR-18 as IHE's scheduled workflow has it."""
    return (ipc.text(1) if ipc else "") or (obr.text(18) if obr else "")


def _modality(obr: Segment | None, ipc: Segment | None) -> str:
    return ((ipc.text(5) if ipc else "") or (obr.text(24) if obr else "")).upper()[:16]


def _study_uid(message: Message) -> str:
    zds = message.first("ZDS")
    return _checked_uid(zds.text(1), "ZDS-1") if zds else ""


def _checked_uid(uid: str, place: str) -> str:
    if uid and not is_valid_uid(uid):
        raise MessageError(f"{place} is no UID.", location=place)
    return uid


def _bounded(value: str, most: int, place: str) -> str:
    if len(value) > most:
        raise MessageError(f"{place} is too long.", location=place)
    return value
