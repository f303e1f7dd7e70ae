"""The start page: the province, its hospitals and what is arriving at this moment."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from common.ui.pages import actor_of, page
from hospitals import selectors as hospitals
from sharing.selectors import listing, overview


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """``GET /``. htmx asks again every two seconds while something is open, else now and then."""
    actor = actor_of(request)
    found = overview.province(actor=actor, now=timezone.now())
    context: dict[str, object] = {
        "overview": found,
        "may_list": listing.may_list(actor),
    }
    if not request.headers.get("HX-Request"):
        context["province"] = _province_name()
    return page(request, "sharing/home.html", context, fragment="sharing/_province.html")


def _province_name() -> str:
    root = hospitals.regions().filter(parent__isnull=True).first()
    return root.name if root else ""
