"""Errors that reach no view of ours, in the form that the address promises."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from common.problem import error_response, is_page


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: nothing stands at this address."""
    if is_page(request):
        return defaults.page_not_found(request, exception)
    return error_response(request, 404, code="not-found")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the framework itself refused the request (host, size, number of fields)."""
    if is_page(request):
        return defaults.bad_request(request, exception)
    return error_response(request, 400, code="bad-request")


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a fault of ours; what it was stands in the log and nowhere else."""
    if is_page(request):
        return defaults.server_error(request)
    return error_response(request, 500, code="fault")
