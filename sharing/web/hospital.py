"""What sharing shows on a hospital's page: what arrives now, and how it went."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from common.ui.pages import actor_of, page
from hospitals import selectors as hospitals
from sharing.selectors import operations, overview
from sharing.selectors.listing import may_list


@require_safe
def work(request: HttpRequest, code: str) -> HttpResponse:
    """``GET /operations/hospitals/{code}/``: the live part of a hospital's page."""
    row = hospitals.get_health(actor=request.user, code=code)
    return page(request, "sharing/_hospital_work.html", work_context(request, row))


def work_context(request: HttpRequest, row: hospitals.HealthRow) -> dict[str, Any]:
    """Figures, backlog by lane and running transfers of one hospital."""
    actor = actor_of(request)
    now = timezone.now()
    institution_id = row.institution_id
    may_know = overview.reach_of(actor).covers(institution_id)
    return {
        "row": row,
        "figures": overview.figures_of(institution_id),
        "bytes_per_s": overview.recent_bytes_per_s(now=now, institution_ids=[institution_id]),
        "lanes": operations.backlog(institution_id=institution_id, now=now),
        "running": operations.running_transfers(institution_id=institution_id) if may_know else [],
        "may_list": may_list(actor),
    }


def record_context(request: HttpRequest, row: hospitals.HealthRow) -> dict[str, Any]:
    """Throughput of the last day; errors and quarantine for those who may know them."""
    may_know = overview.reach_of(actor_of(request)).covers(row.institution_id)
    hours = operations.throughput(institution_id=row.institution_id, now=timezone.now())
    return {
        "row": row,
        "may_know": may_know,
        "hours": hours,
        "chart": _chart(hours),
        "moved": any(hour.size_bytes or hour.failed for hour in hours),
        "failures": operations.failures(institution_id=row.institution_id) if may_know else [],
        "cases": operations.quarantined_of(institution_id=row.institution_id) if may_know else [],
    }


def _chart(hours: list[operations.Hour]) -> dict[str, Any]:
    return {
        "unit": "MB",
        "labels": [date_format(timezone.localtime(hour.at), "H:i") for hour in hours],
        "series": [
            {"name": _("Received, MB"), "values": [round(h.size_bytes / 1e6, 1) for h in hours]},
        ],
    }
