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
from sharing.domain import facts
from sharing.models import Series

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


def reader_may_store(actor: User, *, institution_id: int) -> Callable[[Instance], str]:
    """A rule for one request into an institution: why an instance may not be stored, or nothing."""
    visible: dict[str, bool] = {}
    of_pictures: dict[tuple[str, str], bool] = {}

    def may(instance: Instance) -> str:
        if not is_derived(instance.sop_class_uid):
            return "Readers store reports, presentation states, segmentations and structures only."
        # Series are told apart by it: under another one it would pass for pictures, and its copy for the primary one.
        if facts.text(instance.attributes, facts.MODALITY, 16) not in selectors.DERIVED_MODALITIES:
            named = ", ".join(selectors.DERIVED_MODALITIES)
            return f"The Modality of derived objects is one of {named}."
        study, series = instance.study_instance_uid, instance.series_instance_uid
        if study not in visible:
            visible[study] = _is_visible(actor, study)
        if not visible[study]:
            return "It belongs to no study that you may see."
        if (study, series) not in of_pictures:
            of_pictures[study, series] = _is_of_pictures(institution_id, study, series)
        return "This series holds pictures." if of_pictures[study, series] else ""

    return may


def _is_visible(actor: User, study_instance_uid: str) -> bool:
    try:
        selectors.get_visible_study(actor=actor, study_instance_uid=study_instance_uid)
    except NotFound:
        return False
    return True


def _is_of_pictures(institution_id: int, study_uid: str, series_uid: str) -> bool:
    """Whether the institution knows the series as something else than derived objects."""
    return (
        Series.objects.filter(
            study__institution_id=institution_id,
            study__study_instance_uid=study_uid,
            series_instance_uid=series_uid,
        )
        .exclude(modality__in=selectors.DERIVED_MODALITIES)
        .exists()
    )
