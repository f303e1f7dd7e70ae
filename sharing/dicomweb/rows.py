"""Studies and series of the index as search results in the DICOM JSON model (PS3.18 Annex F)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson
from pydicom.datadict import dictionary_VR

from sharing.domain import facts
from sharing.domain.identities import PROVINCE_ISSUER
from sharing.selectors import codes

if TYPE_CHECKING:
    from sharing.dicomweb.columns import FoundSeries, FoundStudy
    from sharing.dicomweb.origin import Root
    from sharing.dicomweb.query import Search

Attributes = dict[str, dict[str, Any]]

# Private block that names the institutions which hold the same study, the answering one first.
PRIVATE_CREATOR = "PROVINCIAL IMAGING CLOUD"
COPIES_TAG = "00091001"
_CHARACTER_SET = {"vr": "CS", "Value": ["ISO_IR 192"]}
_CREATOR = {"vr": "LO", "Value": [PRIVATE_CREATOR]}
_ONLINE = {"vr": "CS", "Value": ["ONLINE"]}
_NEARLINE = {"vr": "CS", "Value": ["NEARLINE"]}
_PROVINCE = {"vr": "LO", "Value": [PROVINCE_ISSUER]}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def study_row(
    study: FoundStudy, *, root: Root, search: Search, holders: Sequence[int] = ()
) -> Attributes:
    """Attributes of one study (Table 10.6.3-3), in the order of their tags.

    ``holders`` are the institutions that hold it, the primary first. A copy that is not the primary one is retrieved
    under the root of its institution.
    """
    institution = codes.entry(study.institution_id)
    is_primary = not holders or holders[0] == study.institution_id
    base = root.url if is_primary else root.of_institution(institution.code)
    number = _value("LO", study.patient_id)
    issuer = _value("LO", study.issuer_of_patient_id)
    row: Attributes = {
        "00080005": _CHARACTER_SET,
        "00080020": _day(study.study_date),
        "00080030": _value("TM", study.study_time),
        "00080050": _value("SH", study.accession_number),
        "00080056": _ONLINE if study.instance_count else _NEARLINE,
        "00080080": _value("LO", institution.name),
        "00080090": _name(study.referring_physician_name),
        "00081030": _value("LO", study.study_description),
        "00081190": {"vr": "UR", "Value": [f"{base}/studies/{study.study_instance_uid}"]},
    }
    if study.modalities:  # OHIF takes an empty one for a fault of the whole list
        row["00080061"] = {"vr": "CS", "Value": list(study.modalities)}
    namespaced = not root.institution_code
    if namespaced:
        row["00090010"] = _CREATOR
        row[COPIES_TAG] = _values("LO", _codes(holders) or [institution.code])
    local = f"{institution.code}:{study.patient_id}" if study.patient_id else ""
    key = study.person_key or local  # a row of an older release has no person yet
    namespaced = namespaced and bool(key)
    row["00100010"] = _name(study.patient_name)
    row["00100020"] = _value("LO", key) if namespaced else number
    row["00100021"] = _PROVINCE if namespaced else issuer
    row["00100030"] = _day(study.patient_birth_date)
    row["00100040"] = _value("CS", study.patient_sex)
    if namespaced and local:
        local_issuer = _value("LO", study.issuer_of_patient_id or institution.code)
        row["00101002"] = {"vr": "SQ", "Value": [{"00100020": number, "00100021": local_issuer}]}
    row["0020000D"] = {"vr": "UI", "Value": [study.study_instance_uid]}
    row["00200010"] = _value("SH", study.dicom_study_id)
    row["00201206"] = {"vr": "IS", "Value": [study.series_count]}
    row["00201208"] = {"vr": "IS", "Value": [study.instance_count or study.listed_instances or 0]}
    return _with_more(row, study.more, search)


def series_row(
    series: FoundSeries, *, study_uid: str, base: str, search: Search, holders: Sequence[int] = ()
) -> Attributes:
    """Attributes of one series (Table 10.6.3-4). ``base`` is the address of its study."""
    row: Attributes = {
        "00080005": _CHARACTER_SET,
        "00080021": _day(series.series_date),
        "00080031": _value("TM", series.series_time),
        "00080056": _ONLINE if series.instance_count else _NEARLINE,
        "00080060": _value("CS", series.modality),
        "0008103E": _value("LO", series.series_description),
        "00081190": {"vr": "UR", "Value": [f"{base}/series/{series.series_instance_uid}"]},
        "00180015": _value("CS", series.body_part_examined),
        "0020000D": {"vr": "UI", "Value": [study_uid]},
        "0020000E": {"vr": "UI", "Value": [series.series_instance_uid]},
        "00200011": _value("IS", series.series_number),
        "00201209": {
            "vr": "IS",
            "Value": [series.instance_count or series.listed_instances or 0],
        },
        "00400244": _day(series.performed_date),
        "00400245": _value("TM", series.performed_time),
        facts.REQUEST_ATTRIBUTES: _requests(series.request_attributes),
    }
    if len(holders) > 1:
        row["00090010"] = _CREATOR
        row[COPIES_TAG] = _values("LO", _codes(holders))
    return _with_more(row, series.more, search)


def _with_more(row: Attributes, more: str, search: Search) -> Attributes:
    """With what the index holds beyond the table: the time zone where it is known, the rest where asked for."""
    if more != "{}":
        for tag, values in orjson.loads(more).items():
            if tag == facts.TIMEZONE_OFFSET or search.wants(tag):
                row[tag] = {"vr": dictionary_VR(tag), "Value": values}
    return dict(sorted(row.items()))


def _requests(text: str) -> dict[str, Any]:
    items = orjson.loads(text) if text != "[]" else []
    if not items:
        return {"vr": "SQ"}
    described = [
        {tag: {"vr": dictionary_VR(tag), "Value": [said]} for tag, said in sorted(item.items())}
        for item in items
    ]
    return {"vr": "SQ", "Value": described}


def _codes(holders: Sequence[int]) -> list[str]:
    return [codes.entry(each).code for each in holders]


def _value(vr: str, value: str | int | None) -> dict[str, Any]:
    return {"vr": vr} if value is None or value == "" else {"vr": vr, "Value": [value]}


def _values(vr: str, values: Sequence[str]) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def _day(day: date | None) -> dict[str, Any]:
    # isoformat() is a third of the time of strftime(), and right for years before 1000.
    return {"vr": "DA", "Value": [day.isoformat().replace("-", "")]} if day else {"vr": "DA"}


def _name(name: str) -> dict[str, Any]:
    if not name:
        return {"vr": "PN"}
    groups = zip(_GROUPS, name.split("="), strict=False)
    present = {group: text for group, text in groups if text}
    return {"vr": "PN", "Value": [present]} if present else {"vr": "PN"}
