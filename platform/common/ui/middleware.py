"""A refusal by a service or a selector becomes the answer that its address promises."""

from __future__ import annotations

from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from common import logs
from common.errors import DomainError
from common.problem import domain_error_response, error_response, is_page
from common.ui.words import said

log = logs.get_logger(__name__)


class RefusalMiddleware:
    """Pages need no ``try`` around what may be absent or forbidden; a fault of ours stays a fault."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, DomainError):
            if is_page(request):
                error.args = (said(error),)  # in the reader's language
            return domain_error_response(request, error)
        if isinstance(error, OperationalError):
            # Gone, full, or it gave up a question that took too long: nothing of ours is broken.
            log.error("database.unavailable", exc_info=error)
            return error_response(
                request,
                503,
                code="database-unavailable",
                detail=_("The database does not answer now, or the question took it too long."),
            )
        return None
