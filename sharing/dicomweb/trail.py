"""Who read what, for the audit: one entry per person, study and purpose, with a count."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from common import audit

if TYPE_CHECKING:
    from common.accounts.models import User
    from sharing.selectors import StudyPlace

# Purposes. Viewing is frames and pictures; retrieving hands out whole instances.
VIEW = "view"
RETRIEVE = "retrieve"
MOST_NAMED = 20  # attributes of one search


def record_read(actor: User, place: StudyPlace, *, purpose: str) -> None:
    """Note that ``actor`` read from this study, with the basis on which it was let in."""
    audit.record_view(
        actor,
        f"dicomweb.{purpose}",
        object_type="sharing.study",
        object_id=place.study_id,
        institution_id=place.institution_id,
        study_instance_uid=place.study_instance_uid,
        basis=place.basis,
        purpose=purpose,
    )


def record_search(
    actor: User, *, level: str, institution_code: str, by: Collection[str] = ()
) -> None:
    """Note that ``actor`` searched, and by which attributes; their values are patient data and stay out."""
    audit.record_view(
        actor,
        "dicomweb.search",
        object_type=f"sharing.{level}",
        object_id=institution_code,
        purpose="search",
        detail={"by": sorted(by)[:MOST_NAMED]} if by else None,
    )
