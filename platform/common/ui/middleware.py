"""A refusal by a service or a selector becomes the answer that its address promises."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from common.errors import DomainError
from common.problem import domain_error_response


class RefusalMiddleware:
    """Pages need no ``try`` around what may be absent or forbidden; a fault of ours stays a fault."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DomainError):
            return None
        return domain_error_response(request, error)
