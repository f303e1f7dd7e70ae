"""Orders as they belong to studies."""

from __future__ import annotations

from django.db.models import Q

from sharing.models import Order, Study


def orders_of(study: Study) -> list[Order]:
    """What was ordered and became this study: by UID where the order names one, else by accession number.

    An order of another patient is none of it, whatever its number: accession numbers are typed by people. The study
    must be one that its reader may see.
    """
    same = Q(study_instance_uid=study.study_instance_uid)
    if study.accession_number:
        same |= Q(accession_number=study.accession_number)
    rows = Order.objects.filter(same, institution_id=study.institution_id)
    if study.person_id is not None:
        rows = rows.filter(patient__person_id=study.person_id)
    return list(rows.select_related("encounter").order_by("pk")[:20])
