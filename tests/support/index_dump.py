"""The index as plain data, without what a rebuild from the bucket cannot and need not know."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from sharing.models import Certificate, Quarantined, Series, SeriesRevision, Study

# When the hospital was last asked and what its study list said are its to tell again; ids are ours.
LEFT_OUT = {
    Study: {
        "id",
        "institution",
        "found_at",
        "checked_at",
        "listed_instances",
        "local_patient",
        "person",
    },
    Series: {"id", "study", "current"},
    SeriesRevision: {"id", "series", "verified_at"},
    Certificate: {"id", "study"},
    Quarantined: {"id", "institution", "times", "last_at", "first_at"},
}
PATHS = {
    Study: (
        "institution__code",
        "local_patient__institution__code",
        "local_patient__issuer",
        "local_patient__number",
        "local_patient__alone",
    ),
    Series: ("study__institution__code", "study__study_instance_uid", "current__prefix"),
    SeriesRevision: ("series__series_instance_uid", "series__study__institution__code"),
    Certificate: ("study__study_instance_uid", "study__institution__code"),
    Quarantined: ("institution__code",),
}


def index_dump() -> dict[str, list[dict[str, Any]]]:
    """Every row of the index, by table, in an order of their own."""
    return {model.__name__: _rows(model) for model in PATHS}


def _rows(model: type[Model]) -> list[dict[str, Any]]:
    names = [
        field.name for field in model._meta.concrete_fields if field.name not in LEFT_OUT[model]
    ]
    found = list(model._default_manager.values(*names, *PATHS[model]))
    for row in found:
        if model is SeriesRevision:
            row["verified"] = False
    if model is SeriesRevision:
        verified = set(
            SeriesRevision.objects.exclude(verified_at=None).values_list("prefix", flat=True)
        )
        for row in found:
            row["verified"] = row["prefix"] in verified
    return sorted(found, key=repr)
