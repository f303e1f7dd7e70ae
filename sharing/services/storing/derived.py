"""What readers may store: objects that their viewer derived from what they may see (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydicom.uid import (
    KeyObjectSelectionDocumentStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    SurfaceSegmentationStorage,
)

from common.errors import NotFound
from sharing import selectors

if TYPE_CHECKING:
    from common.accounts.models import User
    from common.dicom.part10 import Instance

# Structured reports (88.*) and presentation states (11.*) are families (PS3.4 Table B.5-1).
FAMILIES = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.11.")
SINGLE: frozenset[str] = frozenset(
    {
        KeyObjectSelectionDocumentStorage,
        SegmentationStorage,
        SurfaceSegmentationStorage,
        RTStructureSetStorage,
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    }
)


def is_derived(sop_class_uid: str) -> bool:
    """Whether a reader's viewer makes such objects."""
    return sop_class_uid in SINGLE or sop_class_uid.startswith(FAMILIES)


def reader_may_store(actor: User) -> Callable[[Instance], str]:
    """A rule for one request: why an instance may not be stored, or nothing."""
    seen: dict[str, bool] = {}

    def may(instance: Instance) -> str:
        if not is_derived(instance.sop_class_uid):
            return "Readers store reports, presentation states, segmentations and structures only."
        uid = instance.study_instance_uid
        if uid not in seen:
            try:
                selectors.get_visible_study(actor=actor, study_instance_uid=uid)
                seen[uid] = True
            except NotFound:
                seen[uid] = False
        return "" if seen[uid] else "It belongs to no study that you may see."

    return may
