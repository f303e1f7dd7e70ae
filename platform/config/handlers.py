"""What the composition root hears: only the demo does."""

from __future__ import annotations

from common.events import subscribe
from config import demo_consultation
from sharing.events import StudyBecameRetrievable


@subscribe(StudyBecameRetrievable)
def consult_about_it(event: StudyBecameRetrievable) -> None:
    """In the demo a consultation is asked about the first study of the county hospital."""
    demo_consultation.ask_once(study_id=event.study_id)
