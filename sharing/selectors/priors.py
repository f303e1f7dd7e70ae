"""Other studies of the patient of a study, in every hospital whose studies the actor may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import F

from sharing.models import Study
from sharing.selectors.studies import visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User


@dataclass(frozen=True)
class Prior:
    """Another study. ``certain``: of the same person (ADR 0024); else name, birth date and sex agree."""

    study: Study
    certain: bool


def list_priors(*, actor: User, study: Study, limit: int = 20) -> list[Prior]:
    """The newest other studies of the person, in every hospital; then those that may be of it.

    Name, birth date and sex make nobody the same person: such studies are offered to the eyes of a reader and never
    joined by the machine.
    """
    others = (
        visible_studies(actor)
        .exclude(study_instance_uid=study.study_instance_uid)
        .select_related("institution")
        .order_by(F("study_date").desc(nulls_last=True), "-id")
    )
    certain: list[Study] = []
    if study.person_id:
        certain = list(others.filter(person=study.person_id)[:limit])
    possible: list[Study] = []
    if study.name_grams and study.patient_birth_date and study.patient_sex:
        possible = list(
            others.filter(
                name_grams__contains=study.name_grams,
                patient_name=study.patient_name,
                patient_birth_date=study.patient_birth_date,
                patient_sex=study.patient_sex,
            ).exclude(pk__in=[each.pk for each in certain])[:limit]
        )
    return [Prior(each, True) for each in certain] + [Prior(each, False) for each in possible]
