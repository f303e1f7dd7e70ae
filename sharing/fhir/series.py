"""The series of an ImagingStudy, and their instances from the archive's documents."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from common.fhir.values import clean
from common.storage import ObjectMissing
from sharing.fhir import moments, systems
from sharing.models import Series
from sharing.selectors.instances import ListedInstance, listed_instances

MAX_INSTANCES = 2_000
_UNKNOWN_MODALITY = "OT"  # the element is required; DICOM's word for any other one


def series_element(series: Series, *, most: int) -> dict[str, Any]:
    """One series; with its instances where it is archived and they are at most ``most``."""
    found: dict[str, Any] = {
        "uid": series.series_instance_uid,
        "modality": {"system": systems.DCM, "code": clean(series.modality) or _UNKNOWN_MODALITY},
        "description": clean(series.series_description),
        "numberOfInstances": series.instance_count or series.listed_instances or 0,
        "started": moments.date_time(series.series_date, series.series_time),
    }
    if series.series_number is not None and series.series_number >= 0:
        found["number"] = series.series_number
    if part := clean(series.body_part_examined):
        # DICOM's defined terms of Body Part Examined belong to no code system with a URI.
        found["bodySite"] = {"code": part, "display": part}
    current = None if series.newest_received else series.current  # else some are in no revision yet
    if current is not None and current.instance_count <= most:
        # A missing document is for the archive's own checks to report; the study is known without it.
        with suppress(ObjectMissing):
            found["instance"] = [_instance(each) for each in listed_instances(current.prefix)]
    return {name: value for name, value in found.items() if value != ""}


def _instance(listed: ListedInstance) -> dict[str, Any]:
    found: dict[str, Any] = {
        "uid": listed.sop_instance_uid,
        "sopClass": {"system": systems.URI, "code": f"urn:oid:{listed.sop_class_uid}"},
    }
    if listed.number is not None and listed.number >= 0:
        found["number"] = listed.number
    return found
