"""What sharing does about what was announced."""

from __future__ import annotations

from common.events import subscribe
from sharing.events import EmergencyAccessOpened, StudyBecameRetrievable
from sharing.jobs import READ_REPORTS
from sharing.services import notices


@subscribe(EmergencyAccessOpened)
def tell_the_patient(event: EmergencyAccessOpened) -> None:
    """A notice to the patient, once."""
    notices.tell_of_emergency(emergency_id=event.emergency_id)


@subscribe(StudyBecameRetrievable)
def read_its_reports(event: StudyBecameRetrievable) -> None:
    """Structured reports and PDF that came with the study become reports of it."""
    READ_REPORTS.enqueue(study_id=event.study_id)
