"""Studies and series of the index as search results in the DICOM JSON model (PS3.18 Annex F)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sharing.dicomweb.origin import Root
    from sharing.models import Series, Study

Attributes = dict[str, dict[str, Any]]

# Issuer of the keys that stand as Patient ID at the root over all institutions.
PROVINCE_ISSUER = "PROVINCE"
# Private block that names the institutions which hold the same study, the answering one first.
PRIVATE_CREATOR = "PROVINCIAL IMAGING CLOUD"
COPIES_TAG = "00091001"


def study_row(study: Study, *, root: Root, copies: Sequence[str] = ()) -> Attributes:
    """Attributes of one study (Table 10.6.1-3). ``study.institution`` is loaded.

    ``copies`` are the codes of the institutions that hold it, the primary first. A copy that is
    not the primary one is retrieved under the root of its institution.
    """
    code = study.institution.code
    is_primary = not copies or copies[0] == code
    base = root.url if is_primary else root.of_institution(code)
    row: Attributes = {
        "00080005": _value("CS", "ISO_IR 192"),
        "00080020": _value("DA", _day(study.study_date)),
        "00080030": _value("TM", study.study_time),
        "00080050": _value("SH", study.accession_number),
        "00080056": _value("CS", "ONLINE" if is_online(study) else "NEARLINE"),
        "00080061": _values("CS", sorted(study.modalities)),
        "00080080": _value("LO", study.institution.name),
        "00080090": _name(study.referring_physician_name),
        "00081030": _value("LO", study.study_description),
        "00081190": _value("UR", f"{base}/studies/{study.study_instance_uid}"),
        "00100010": _name(study.patient_name),
        **_patient(study, root),
        "00100030": _value("DA", _day(study.patient_birth_date)),
        "00100040": _value("CS", study.patient_sex),
        "0020000D": _value("UI", study.study_instance_uid),
        "00200010": _value("SH", study.dicom_study_id),
        "00201206": _value("IS", study.series_count),
        "00201208": _value("IS", study.instance_count or study.listed_instances or 0),
    }
    if not root.institution_code:
        row["00090010"] = _value("LO", PRIVATE_CREATOR)
        row[COPIES_TAG] = _values("LO", copies or [code])
    return dict(sorted(row.items()))


def series_row(series: Series, *, base: str) -> Attributes:
    """Attributes of one series (Table 10.6.1-4). ``base`` is the address of its study."""
    return {
        "00080005": _value("CS", "ISO_IR 192"),
        "00080021": _value("DA", _day(series.series_date)),
        "00080031": _value("TM", series.series_time),
        "00080056": _value("CS", "ONLINE" if series.is_held else "NEARLINE"),
        "00080060": _value("CS", series.modality),
        "0008103E": _value("LO", series.series_description),
        "00081190": _value("UR", f"{base}/series/{series.series_instance_uid}"),
        "00180015": _value("CS", series.body_part_examined),
        "0020000D": _value("UI", base.rpartition("/")[2]),
        "0020000E": _value("UI", series.series_instance_uid),
        "00200011": _value("IS", series.series_number),
        "00201209": _value("IS", series.instance_count or series.listed_instances or 0),
    }


def is_online(study: Study) -> bool:
    """Whether at least a part can be retrieved now; otherwise the hospital must be asked first."""
    return study.instance_count > 0


def _patient(study: Study, root: Root) -> Mapping[str, dict[str, Any]]:
    """Patient ID and its issuer.

    Hospitals number patients each in their own way, so at the common root the number carries the
    institution before a colon: a viewer that looks for priors by it finds this patient and never a
    stranger with the same number elsewhere. The local number stands in Other Patient IDs Sequence.
    """
    local = {
        "00100020": _value("LO", study.patient_id),
        "00100021": _value("LO", study.issuer_of_patient_id),
    }
    if root.institution_code or not study.patient_id:
        return local
    issuer = study.issuer_of_patient_id or study.institution.code
    return {
        "00100020": _value("LO", f"{study.institution.code}:{study.patient_id}"),
        "00100021": _value("LO", PROVINCE_ISSUER),
        "00101002": {"vr": "SQ", "Value": [{**local, "00100021": _value("LO", issuer)}]},
    }


def _value(vr: str, value: str | int | None) -> dict[str, Any]:
    return {"vr": vr} if value is None or value == "" else {"vr": vr, "Value": [value]}


def _values(vr: str, values: Sequence[str]) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def _day(day: date | None) -> str:
    return f"{day:%Y%m%d}" if day else ""


def _name(name: str) -> dict[str, Any]:
    groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False))
    present = {group: text for group, text in groups.items() if text}
    return {"vr": "PN", "Value": [present]} if present else {"vr": "PN"}
