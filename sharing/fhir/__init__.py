"""FHIR R4 resources of this module: ImagingStudy, Patient and AuditEvent."""

from sharing.fhir.audit_event import AuditEvents
from sharing.fhir.diagnostic_report import DiagnosticReports
from sharing.fhir.imaging_study import ImagingStudies
from sharing.fhir.patient import Patients

RESOURCES = (ImagingStudies(), DiagnosticReports(), Patients(), AuditEvents())

__all__ = ["RESOURCES"]
