"""What was ordered, beside the study that it became."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from sharing.selectors.listing import StudyRow
from sharing.selectors.orders import orders_of


def study_context(request: HttpRequest, row: StudyRow) -> dict[str, Any] | None:
    """For those who may see the study, where it was ordered by a message."""
    orders = orders_of(row.study) if row.basis else []
    return {"orders": orders} if orders else None
