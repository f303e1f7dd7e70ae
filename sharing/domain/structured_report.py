"""What a DICOM structured report says, as a report for people (PS3.3 C.17.2 and C.17.3, 2024e).

Reads the DICOM JSON model. The content tree becomes lines: what stands under an impression or conclusion is the
impression, all else the findings; what only says who observed whom, in which language, is neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sharing.domain.report import (
    MOST_NAME,
    MOST_TEXT,
    MOST_TITLE,
    ReportStatus,
    one_line,
    plain_text,
)

Attributes = Mapping[str, Any]

BASIC_TEXT, ENHANCED, COMPREHENSIVE, COMPREHENSIVE_3D, EXTENSIBLE = (
    f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35)
)
# Text for people. Dose, CAD, procedure logs and key objects are of other classes.
REPORT_CLASSES = frozenset({BASIC_TEXT, ENHANCED, COMPREHENSIVE, COMPREHENSIVE_3D, EXTENSIBLE})
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
# Documents of these classes that are none: measurements of a viewer or a machine, dose (PS3.16 CID 7000 ff.).
_NO_REPORTS = frozenset({"126000", "113701", "113500", "126010", "122400"})
_IMPRESSIONS = frozenset(
    {"121072", "121073", "121076", "121077", "19005-8", "55110-1", "IMP", "CONCL"}
)
_IMPRESSION_WORDS = ("impression", "conclusion", "诊断意见", "印象", "结论", "诊断结果", "影像诊断")
# A heading over a text that is its own: repeated before every line it would say nothing.
_GENERIC = frozenset(
    {"finding", "findings", "impression", "impressions", "conclusion", "conclusions", "report text",
     "影像所见", "检查所见", "诊断意见"}
)  # fmt: skip
_CONTEXT = frozenset({"HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS ACQ CONTEXT"})
_PERSON_OBSERVER = "121008"

_CONTENT, _RELATION, _VALUE_TYPE, _CONCEPT = "0040A730", "0040A010", "0040A040", "0040A043"
_CODE, _MEANING, _LONG_CODE, _URN_CODE = "00080100", "00080104", "00080119", "00080120"
_TEXTS = {
    "TEXT": "0040A160",
    "DATE": "0040A121",
    "TIME": "0040A122",
    "DATETIME": "0040A120",
    "PNAME": "0040A123",
}
_MOST_DEEP, _MOST_ITEMS = 32, 20_000


@dataclass(frozen=True)
class Told:
    """A report read out of an object. Times are as DICOM writes them; ``predecessors`` are the objects it replaces."""

    title: str
    status: ReportStatus
    findings: str = ""
    impression: str = ""
    author: str = ""
    verifier: str = ""
    verified: str = ""  # DT
    written: tuple[str, str] = ("", "")  # DA, TM
    predecessors: tuple[str, ...] = field(default=())


def is_report(sop_class_uid: str, attributes: Attributes) -> bool:
    """Whether the object is a report for people: a text, or a document."""
    if sop_class_uid == ENCAPSULATED_PDF:
        return _text(attributes, "00420012").lower() in {"application/pdf", ""}
    return (
        sop_class_uid in REPORT_CLASSES
        and _code(attributes, _CONCEPT) not in _NO_REPORTS
        and bool(_items(attributes, _CONTENT))
    )


def read_report(attributes: Attributes) -> Told:
    """The report that a content tree is."""
    lines: dict[bool, list[str]] = {False: [], True: []}
    for concludes, line in _lines(attributes):
        lines[concludes].append(line)
    verifying = _items(attributes, "0040A073")
    last = max(verifying, key=lambda each: _text(each, "0040A030"), default={})
    return Told(
        title=one_line(_meaning(attributes, _CONCEPT))[:MOST_TITLE],
        status=_status(attributes),
        findings=_cut("\n".join(lines[False])),
        impression=_cut("\n".join(lines[True])),
        author=_author(attributes)[:MOST_NAME],
        verifier=_person(last, "0040A075")[:MOST_NAME],
        verified=_text(last, "0040A030"),
        written=_written(attributes),
        predecessors=tuple(_predecessors(attributes)),
    )


def read_document(attributes: Attributes) -> Told:
    """What is known of an encapsulated document beside its bytes (PS3.3 C.24.2). Without a flag it is final: issued."""
    unverified = _text(attributes, "0040A493") == "UNVERIFIED"
    title = _text(attributes, "00420010") or _meaning(attributes, _CONCEPT)
    return Told(
        title=one_line(title)[:MOST_TITLE],
        status=ReportStatus.PRELIMINARY if unverified else ReportStatus.FINAL,
        author=_author(attributes)[:MOST_NAME],
        written=_written(attributes),
        predecessors=tuple(_predecessors(attributes)),
    )


def _status(attributes: Attributes) -> ReportStatus:
    """Verified is final; complete and said to be final too; all else is preliminary (PS3.3 C.17.2)."""
    if _text(attributes, "0040A493") == "VERIFIED":
        return ReportStatus.FINAL
    complete = _text(attributes, "0040A491") == "COMPLETE"
    if complete and _text(attributes, "0040A496") == "FINAL":
        return ReportStatus.FINAL
    return ReportStatus.PRELIMINARY


def _lines(root: Attributes) -> Iterator[tuple[bool, str]]:
    """(belongs to the impression, line), from the top; cut where a tree is endless."""
    waiting = [(0, False, each) for each in reversed(_items(root, _CONTENT))]
    told = 0
    while waiting and told < _MOST_ITEMS:
        depth, concludes, item = waiting.pop()
        told += 1
        if _text(item, _RELATION) in _CONTEXT:
            continue
        concludes = concludes or _is_impression(item)
        line = _line(item)
        if line:
            yield concludes, "  " * min(depth, 8) + line
        if depth < _MOST_DEEP:
            below = reversed(_items(item, _CONTENT))
            waiting += [(depth + 1, concludes, each) for each in below]


def _line(item: Attributes) -> str:
    name, value = one_line(_meaning(item, _CONCEPT)), _value(item)
    if _text(item, _VALUE_TYPE) == "CONTAINER":
        has_text = any(_text(each, _RELATION) not in _CONTEXT for each in _items(item, _CONTENT))
        return name if has_text and name.lower() not in _GENERIC else ""
    if not value:
        return ""
    return value if not name or name.lower() in _GENERIC else f"{name}: {value}"


def _value(item: Attributes) -> str:
    kind = _text(item, _VALUE_TYPE)
    if kind == "CODE":
        return one_line(_meaning(item, "0040A168"))
    if kind == "NUM":
        return _measured(item)
    if kind == "PNAME":
        return _person(item, _TEXTS[kind])
    # Pictures, coordinates and UIDs are for viewers.
    return plain_text(_text(item, _TEXTS[kind])) if kind in _TEXTS else ""


def _measured(item: Attributes) -> str:
    for measured in _items(item, "0040A300"):
        unit = _items(measured, "004008EA")
        code = _text(unit[0], _CODE) if unit else ""
        return f"{_text(measured, '0040A30A')} {'' if code == '1' else code}".strip()
    return _meaning(item, "0040A301")  # why there is no number


def _is_impression(item: Attributes) -> bool:
    if _code(item, _CONCEPT) in _IMPRESSIONS:
        return True
    name = _meaning(item, _CONCEPT).lower()
    return any(word in name for word in _IMPRESSION_WORDS)


def _author(attributes: Attributes) -> str:
    for each in _items(attributes, "0040A078"):
        if name := _person(each, "0040A123"):
            return name
    for item in _items(attributes, _CONTENT):
        if _code(item, _CONCEPT) == _PERSON_OBSERVER and (name := _person(item, "0040A123")):
            return name
    return ""


def _predecessors(attributes: Attributes) -> Iterator[str]:
    for study in _items(attributes, "0040A360"):
        for series in _items(study, "00081115"):
            for each in _items(series, "00081199"):
                yield _text(each, "00081155")


def _written(attributes: Attributes) -> tuple[str, str]:
    for day, time in (("00080023", "00080033"), ("00080012", "00080013"), ("00080020", "00080030")):
        if found := _text(attributes, day):
            return found, _text(attributes, time)
    return "", ""


def _person(item: Attributes, tag: str) -> str:
    found = _first(item, tag)
    if isinstance(found, Mapping):
        found = found.get("Ideographic") or found.get("Alphabetic") or ""
    return one_line(str(found or "").replace("^", " "))


def _meaning(item: Attributes, tag: str) -> str:
    return next((_text(code, _MEANING) for code in _items(item, tag)), "")


def _code(item: Attributes, tag: str) -> str:
    for code in _items(item, tag):
        return _text(code, _CODE) or _text(code, _LONG_CODE) or _text(code, _URN_CODE)
    return ""


def _text(item: Attributes, tag: str) -> str:
    found = _first(item, tag)
    return str(found).strip() if isinstance(found, str | int | float) else ""


def _first(item: Attributes, tag: str) -> Any:
    return next(iter(_values(item, tag)), "")


def _items(item: Attributes, tag: str) -> list[Attributes]:
    return [each for each in _values(item, tag) if isinstance(each, Mapping)]


def _values(item: Attributes, tag: str) -> list[Any]:
    element = item.get(tag)
    found = element.get("Value") if isinstance(element, Mapping) else None
    return found if isinstance(found, list) else []


def _cut(text: str) -> str:
    """Within what a report may hold; the object itself has it all."""
    clean = plain_text(text)
    return clean if len(clean) <= MOST_TEXT else clean[: MOST_TEXT - 2] + "\n…"
