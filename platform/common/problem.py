"""Errors on the wire: the only place that knows which HTTP status a kind of error has."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from common import request_context
from common.errors import DomainError, Kind
from common.outcome import FHIR_JSON, issue, issue_type, operation_outcome

PROBLEM_TYPE = "application/problem+json"

_STATUS = {
    Kind.INVALID: HTTPStatus.BAD_REQUEST,
    Kind.NOT_PERMITTED: HTTPStatus.FORBIDDEN,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.UPSTREAM: HTTPStatus.BAD_GATEWAY,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}

_API_ROOTS = ("/api/", "/cds-services", "/metrics")
_FHIR_ROOT = "/fhir/"
_DICOMWEB_ROOTS = ("/dicom-web/", "/wado")


def status_of(error: DomainError) -> HTTPStatus:
    """The HTTP status that the error's kind has."""
    return _STATUS[error.kind]


def is_dicomweb(request: HttpRequest) -> bool:
    """Whether the address belongs to the DICOMweb origin server."""
    return request.path_info.startswith(_DICOMWEB_ROOTS)


def is_fhir(request: HttpRequest) -> bool:
    """Whether the address belongs to the FHIR interface."""
    return request.path_info.startswith(_FHIR_ROOT)


def is_page(request: HttpRequest) -> bool:
    """Whether a person reads the answer: everything that is neither DICOMweb nor an interface for programs.

    A browser that navigates to an API address (its documentation) counts as a person.
    """
    if is_dicomweb(request) or is_fhir(request):
        return False
    if request.path_info.startswith(_API_ROOTS):
        return request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    return True


def problem(
    status: int,
    *,
    code: str,
    detail: str = "",
    headers: dict[str, str] | None = None,
    **facts: object,
) -> HttpResponse:
    """A problem document (RFC 9457). ``code`` is stable, ``detail`` is for people."""
    body = orjson.dumps(_document(status, code=code, detail=detail, facts=facts), default=str)
    return HttpResponse(body, status=status, content_type=PROBLEM_TYPE, headers=headers)


def _document(
    status: int, *, code: str, detail: str, facts: dict[str, object]
) -> dict[str, object]:
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
    }
    if detail:
        document["detail"] = detail
    if facts:
        document["facts"] = facts
    if request_id := request_context.current().request_id:
        document["request_id"] = request_id
    return document


def _retry_headers(error: DomainError) -> dict[str, str]:
    seconds = getattr(error, "retry_after_s", None)
    return {"Retry-After": str(int(seconds))} if seconds else {}


def dicomweb_error(
    request: HttpRequest,
    status: int,
    detail: str = "",
    *,
    code: str = "",
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """An error of the DICOMweb origin server (PS3.18 §8.5): the status, and a body that says why.

    JSON where the caller accepts JSON, else plain text; always with a Content-Type.
    """
    phrase = HTTPStatus(status).phrase
    if "json" in request.headers.get("Accept", ""):
        response = problem(status, code=code or _slug(phrase), detail=detail, headers=headers)
    else:
        response = HttpResponse(
            f"{detail or phrase}\n",
            status=status,
            content_type="text/plain; charset=utf-8",
            headers=headers,
        )
    patch_vary_headers(response, ["Accept"])
    return response


def fhir_error(
    status: int, *, code: str, detail: str = "", headers: dict[str, str] | None = None
) -> HttpResponse:
    """An error of the FHIR interface: an OperationOutcome (R4 §3.1.0.1.4)."""
    text = detail or HTTPStatus(status).phrase
    outcome = operation_outcome(issue(issue_type(status), text, code=code))
    return HttpResponse(
        orjson.dumps(outcome),
        status=status,
        content_type=f"{FHIR_JSON}; charset=utf-8",
        headers=headers,
    )


def _slug(phrase: str) -> str:
    return phrase.lower().replace(" ", "-")


def error_page(request: HttpRequest, status: int, *, detail: str = "") -> HttpResponse:
    """The page a person gets for an error."""
    context = {
        "status": status,
        "title": _title(status),
        "detail": detail,
        "request_id": request_context.current().request_id,
    }
    return render(request, "error.html", context, status=status)


def _title(status: int) -> str:
    titles = {
        400: _("This request cannot be understood"),
        403: _("You may not do this"),
        404: _("There is no such page"),
        409: _("This cannot be done now"),
        429: _("Too many attempts"),
        502: _("The hospital's system did not answer properly"),
        503: _("A part of the system is not available"),
    }
    return titles.get(status, _("Something went wrong"))


def error_response(
    request: HttpRequest,
    status: int,
    *,
    code: str,
    detail: str = "",
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """The error in the form that the address promises: DICOMweb, problem document or page."""
    if is_dicomweb(request):
        return dicomweb_error(request, status, detail, code=code, headers=headers)
    if is_fhir(request):
        return fhir_error(status, code=code, detail=detail, headers=headers)
    if is_page(request):
        response = error_page(request, status, detail=detail)
        for name, value in (headers or {}).items():
            response.headers[name] = value
        return response
    return problem(status, code=code, detail=detail, headers=headers)


def domain_error_response(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A refusal in the form that the address promises."""
    return error_response(
        request,
        status_of(error),
        code=error.code,
        detail=error.message,
        headers=_retry_headers(error),
    )


def handle_api_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler: every refusal is a problem document; the rest is a fault (500)."""
    answer = _api_answer(error)
    if answer is None:
        return None
    status, code, detail, facts, headers = answer
    set_rollback()
    response = Response(
        _document(status, code=code, detail=detail, facts=facts),
        status=status,
        headers=headers,
    )
    # Not through the renderer's own type: a renderer chosen by Accept must not rename the document.
    response.content_type = PROBLEM_TYPE
    return response


_Answer = tuple[int, str, str, dict[str, object], dict[str, str]]


def _api_answer(error: Exception) -> _Answer | None:
    if isinstance(error, DomainError):
        return status_of(error), error.code, error.message, error.facts, _retry_headers(error)
    if isinstance(error, Http404):
        return 404, "not-found", "", {}, {}
    if isinstance(error, PermissionDenied):
        return 403, "not-permitted", "", {}, {}
    if isinstance(error, exceptions.APIException):
        return _framework_answer(error)
    return None


def _framework_answer(error: exceptions.APIException) -> _Answer:
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    if isinstance(error, exceptions.ValidationError):
        return 400, "invalid", _("Some values are not valid."), {"fields": error.detail}, headers
    code = str(error.get_codes() if isinstance(error.get_codes(), str) else error.default_code)
    return error.status_code, code.replace("_", "-"), str(error.detail), {}, headers
