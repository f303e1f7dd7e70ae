"""The directory of institutions, as other systems read it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from hospitals.models import Institution
from hospitals.permissions import listed_institutions as _listed


def listed_institutions(*, actor: Any) -> QuerySet[Institution]:
    """The institutions that the actor may find in the directory, with their regions, by code."""
    return _listed(actor).select_related("region").order_by("code")
