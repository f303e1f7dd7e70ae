"""Who read what by FHIR, for the audit: as ``sharing.dicomweb.trail`` for DICOMweb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import audit
from sharing.permissions import decide, sight_of

if TYPE_CHECKING:
    from common.accounts.models import User
    from sharing.models import Study
    from sharing.selectors.patients import Patient


def record_study(actor: User, study: Study) -> None:
    """Note that ``actor`` read what is known of this study, with the basis on which it was let in."""
    audit.record_view(
        actor,
        "fhir.read",
        object_type="sharing.study",
        object_id=study.pk,
        institution_id=study.institution_id,
        study_instance_uid=study.study_instance_uid,
        basis=decide(actor, study).basis or "",
        purpose="read",
    )


def record_patient(actor: User, patient: Patient) -> None:
    """Note that ``actor`` read a patient's demographics."""
    audit.record_view(
        actor,
        "fhir.read",
        object_type="sharing.person",
        object_id=patient.id,
        institution_id=patient.institution_id,
        basis=_basis(actor, patient),
        purpose="read",
        person_key=patient.key,
    )


def _basis(actor: User, patient: Patient) -> str:
    sight = sight_of(actor)
    return sight.basis_at(patient.institution_id) or sight.basis_of_person(patient.id) or ""


def record_search(actor: User, *, kind: str) -> None:
    """Note that ``actor`` searched; what for is patient data and stays out of the trail."""
    audit.record_view(actor, "fhir.search", object_type=f"sharing.{kind}", purpose="search")
