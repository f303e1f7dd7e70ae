"""What sharing does about what was announced."""

from __future__ import annotations

from common.events import subscribe
from sharing.events import EmergencyAccessOpened
from sharing.services import notices


@subscribe(EmergencyAccessOpened)
def tell_the_patient(event: EmergencyAccessOpened) -> None:
    """A notice to the patient, once."""
    notices.tell_of_emergency(emergency_id=event.emergency_id)
