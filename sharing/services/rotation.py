"""Identities of patients under the newest key, so that an older one can be thrown away."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q

from common import audit, privacy
from sharing.models import LocalPatient
from sharing.selectors.identities import context_of

BATCH = 500
_COLUMNS = ("resident_id", "insurance_code", "document", "phone")


def rotate_identities() -> int:
    """Encrypt what is not under the first of FIELD_KEYS yet, batch by batch; how many values.

    Raises:
        Undecipherable: the key of one is gone; what was done before stays done.
    """
    done = last = 0
    some = Q()
    for name in _COLUMNS:
        some |= Q(**{f"{name}__isnull": False})
    while True:
        with transaction.atomic():
            rows = list(
                LocalPatient.objects.select_for_update(no_key=True)
                .filter(some, pk__gt=last)
                .order_by("pk")[:BATCH]
            )
            if not rows:
                break
            done += sum(_rotate(row) for row in rows)
        last = rows[-1].pk
    if done:
        audit.record(
            "manage.py rotate_keys",
            "patient.rotate-keys",
            object_type="sharing.localpatient",
            count=done,
        )
    return done


def _rotate(row: LocalPatient) -> int:
    renewed = {
        name: privacy.rotated(stored, context=context_of(name))
        for name in _COLUMNS
        if (stored := getattr(row, name)) is not None and privacy.needs_rotation(stored)
    }
    if renewed:
        LocalPatient.objects.filter(pk=row.pk).update(**renewed)
    return len(renewed)
