"""Work that failed and bytes that were refused, with the way to try again."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from common.errors import NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import words
from sharing.errors import NotRetryable
from sharing.selectors import operations as reads
from sharing.selectors.overview import run_by
from sharing.services import transfers

PAGE = 25


def may_operate(request: HttpRequest) -> bool:
    """Whether there are errors and causes that this reader may know."""
    return bool(run_by(actor_of(request)))


@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    """``GET /operations/``: failed transfers, failed searches and open quarantine cases."""
    if not may_operate(request):
        raise NotPermitted(_("Your roles do not allow this."))
    actor = actor_of(request)
    code = request.GET.get("institution", "")[:64]
    failed = reads.list_failed(actor=actor, institution_code=code)
    cases = reads.list_quarantined(actor=actor, institution_code=code)
    context: dict[str, object] = {
        "institution": code,
        "failed": Paginator(failed, PAGE).get_page(request.GET.get("failed")),
        "cases": Paginator(cases, PAGE).get_page(request.GET.get("cases")),
        "windows": reads.list_failed_windows(actor=actor, institution_code=code)[:PAGE],
    }
    return page(request, "sharing/operations.html", context)


@require_POST
def retry(request: HttpRequest, transfer_id: int) -> HttpResponse:
    """``POST /operations/transfers/{id}/retry``: ask for this series again now."""
    actor = actor_of(request)
    transfer = reads.get_transfer(actor=actor, transfer_id=transfer_id)
    try:
        transfers.retry_transfer(actor=actor, transfer_id=transfer.pk)
        messages.success(request, _("Asked again: the series is in the queue."))
    except NotRetryable as error:
        messages.error(request, str(words(error.code).what))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if safe else "sharing:operations")
