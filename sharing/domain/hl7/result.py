"""OBR and OBX of an ORU: a report in several lines (chapter 7)."""

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
from sharing.domain.hl7.visit import PROVINCE, name_of_person

# Result status, table 0123 (OBR-25) and table 0085 (OBX-11).
STATUSES = {
    "P": "preliminary", "R": "preliminary", "A": "preliminary", "I": "preliminary", "S": "preliminary",
    "F": "final", "U": "final",
    "C": "amended", "M": "amended",
    "X": "cancelled", "D": "entered-in-error", "W": "entered-in-error",
}  # fmt: skip
TEXT_TYPES = frozenset({"TX", "FT", "ST", ""})
# OBX-3: what a line is about. LOINC first, then the words that systems write there.
IMPRESSION_CODES = frozenset({"19005-8", "IMP", "IMPRESSION", "DIAGNOSIS", "CONCLUSION"})
FINDINGS_CODES = frozenset({"59776-5", "18782-3", "GDT", "FINDINGS", "DESCRIPTION", "BODY"})
IMPRESSION_WORDS = (
    "诊断意见",
    "影像诊断",
    "诊断结论",
    "诊断",
    "结论",
    "印象",
    "impression",
    "conclusion",
)
FINDINGS_WORDS = ("影像所见", "检查所见", "所见", "描述", "findings", "description")
STUDY_UID_CODES = frozenset({"110180", "113014", "STUDY_UID", "STUDYINSTANCEUID"})


@dataclass(frozen=True)
class Result:
    """One report as a message tells it, with the numbers under which its examination may be known."""

    status: str
    findings: str
    impression: str
    numbers: tuple[str, ...]  # accession, filler, placer: as far as they are said, in this order
    study_instance_uid: str = ""
    report_number: str = ""  # the filler's: the same in all versions of a report
    title: str = ""
    author: str = ""
    verifier: str = ""
    reported_at: dt.datetime | None = None


def results_of(message: Message) -> list[Result]:
    """Every report of an ORU. An OBR without text is passed over.

    Raises:
        MessageError: no OBR, no text at all, no number of the examination, or a status that is none.
    """
    message.needed("OBR")
    order_numbers = [orc.text(3) or orc.text(2) for orc in message.all("ORC")]
    groups = message.groups("OBR")
    found = [
        result
        for index, group in enumerate(groups)
        if (result := _result(message, group, order_numbers[index : index + 1])) is not None
    ]
    if not found:
        raise MessageError(
            "No OBX segment has text (type TX, FT or ST).",
            condition=REQUIRED_FIELD_MISSING,
            location="OBX-5",
        )
    return found


def _result(message: Message, group: list[Segment], orders: list[str]) -> Result | None:
    obr = group[0]
    observations = [each for each in group if each.name == "OBX"]
    findings, impression = _texts(observations)
    if not findings and not impression:
        return None
    numbers = (obr.text(18), obr.text(3), obr.text(2), *orders)
    uid = _study_uid(message, observations)
    if not uid and not any(numbers):
        raise MessageError(
            "OBR-18, OBR-3 and OBR-2 are empty: the examination is not said.",
            condition=REQUIRED_FIELD_MISSING,
            location="OBR-18",
        )
    principal, assistant = _name(obr, 32), _name(obr, 33)
    return Result(
        status=_status(obr, observations),
        findings=findings,
        impression=impression,
        numbers=tuple(dict.fromkeys(number for number in numbers if number)),
        study_instance_uid=uid,
        report_number=(obr.text(3) or obr.text(2))[:128],
        title=(obr.text(4, 2) or obr.text(4, 5) or obr.text(4))[:200],
        author=assistant or principal,  # who wrote it; the principal interpreter answers for it
        verifier=principal if assistant else "",
        reported_at=obr.instant(22, PROVINCE)
        or next((at for at in (o.instant(14, PROVINCE) for o in observations) if at), None)
        or message.header.instant(7, PROVINCE),
    )


def _name(obr: Segment, at: int) -> str:
    """The person of an NDL field: its first component is a whole name (CNN), parted by subcomponents."""
    values = obr.repetitions(at)
    if not values:
        return ""
    number, family, given = (values[0].text(1, part) for part in (1, 2, 3))
    if family and given:
        han = all("\u3400" <= letter <= "\u9fff" for letter in family + given)
        return f"{family}{given}" if han else f"{given} {family}"
    # Many systems write components where the standard has subcomponents.
    return family or given or (name_of_person(values[0]) if values[0].text(2) else number)


def _status(obr: Segment, observations: list[Segment]) -> str:
    code = obr.text(25).upper()
    place = "OBR-25"
    if not code:
        codes = {each.text(11).upper() for each in observations if each.text(11)}
        # One line that is only preliminary makes the report preliminary; one corrected line, amended.
        code = next(
            (c for c in ("P", "R", "S", "I", "W", "D", "X", "C", "F", "U") if c in codes), ""
        )
        place = "OBX-11"
    if code not in STATUSES:
        raise MessageError(
            f"{place} is no result status that is read here.",
            condition=TABLE_VALUE_NOT_FOUND if code else REQUIRED_FIELD_MISSING,
            location=place,
        )
    return STATUSES[code]


def _texts(observations: list[Segment]) -> tuple[str, str]:
    findings: list[str] = []
    impression: list[str] = []
    for obx in observations:
        if obx.text(2).upper() not in TEXT_TYPES or _is_uid(obx):
            continue
        text = obx.whole(5)
        (impression if _is_impression(obx) else findings).append(text)
    return _joined(findings), _joined(impression)


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n ")


def _is_uid(obx: Segment) -> bool:
    return obx.text(3).upper() in STUDY_UID_CODES


def _is_impression(obx: Segment) -> bool:
    codes = {obx.text(3).upper(), obx.text(3, 4).upper(), obx.text(3, 1, 2).upper()}
    if codes & IMPRESSION_CODES:
        return True
    if codes & FINDINGS_CODES:
        return False
    words = f"{obx.text(3, 2)} {obx.text(3, 5)} {obx.text(3)}".lower()
    if any(word in words for word in FINDINGS_WORDS):
        return False
    return any(word in words for word in IMPRESSION_WORDS)


def _study_uid(message: Message, observations: list[Segment]) -> str:
    zds = message.first("ZDS")
    uid = zds.text(1) if zds else next((o.text(5) for o in observations if _is_uid(o)), "")
    if uid and not is_valid_uid(uid):
        place = "ZDS-1" if zds else "OBX-5"
        raise MessageError(f"{place} is no UID.", location=place)
    return uid
