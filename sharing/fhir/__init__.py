"""FHIR R4 resources of this module: ImagingStudy and Patient."""

from sharing.fhir.imaging_study import ImagingStudies
from sharing.fhir.patient import Patients

RESOURCES = (ImagingStudies(), Patients())

__all__ = ["RESOURCES"]
