"""What a search reads of a study and of a series: the columns as SQL, and as they are named in its rows."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

STUDY = (
    "s.id, s.institution_id, s.study_instance_uid, s.patient_id, s.issuer_of_patient_id, s.patient_name,"
    " s.patient_birth_date, s.patient_sex, s.study_date, s.study_time, s.accession_number, s.dicom_study_id,"
    " s.study_description, s.referring_physician_name, s.modalities, s.series_count, s.instance_count,"
    " s.listed_instances, s.shared, s.more::text,"
    " (SELECT p.key FROM sharing_person p WHERE p.id = s.person_id)"
)
SERIES = (
    "e.id, e.series_instance_uid, e.modality, e.series_number, e.series_description, e.body_part_examined,"
    " e.series_date, e.series_time, e.performed_date, e.performed_time, e.request_attributes::text, e.instance_count,"
    " e.listed_instances, e.more::text"
)


class FoundStudy(NamedTuple):
    """The columns of a study that an answer has."""

    id: int
    institution_id: int
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str
    study_date: date | None
    study_time: str
    accession_number: str
    dicom_study_id: str
    study_description: str
    referring_physician_name: str
    modalities: list[str]
    series_count: int
    instance_count: int
    listed_instances: int | None
    shared: bool
    more: str  # JSON
    person_key: str | None  # none in rows of an older release


class FoundSeries(NamedTuple):
    """The columns of a series that an answer has."""

    id: int
    series_instance_uid: str
    modality: str
    series_number: int | None
    series_description: str
    body_part_examined: str
    series_date: date | None
    series_time: str
    performed_date: date | None
    performed_time: str
    request_attributes: str  # JSON
    instance_count: int
    listed_instances: int | None
    more: str  # JSON
