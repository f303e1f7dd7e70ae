"""Interfaces for programs of other origins (Fetch Standard, CORS protocol; PS3.18 §8.3.5 leaves it to the server).

Outside of everything that can refuse: a viewer of another origin must be able to read why it was refused.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

_ROOTS = ("/dicom-web/", "/wado", "/fhir/", "/api/", "/cds-services")
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_ALLOWED = (
    "Accept, Accept-Language, Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, "
    "X-CSRFToken, X-Request-ID, X-Requested-With, traceparent"
)
_EXPOSED = (
    "Accept-Ranges, Content-Encoding, Content-Length, Content-Location, Content-Range, ETag, "
    "Federated-Coverage, Link, Location, Retry-After, Warning, WWW-Authenticate, X-Request-ID"
)
_KEPT_S = "600"


class CorsMiddleware:
    """Names the origins of ``CORS_ALLOWED_ORIGINS`` on every answer, errors too, and answers preflights itself.

    A listed origin may send credentials. ``*`` lets any other read what it gets without: a bearer token that its
    script adds is no credential in this sense, a session cookie is.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        origin = request.META.get("HTTP_ORIGIN", "")
        if not settings.CORS_ALLOWED_ORIGINS or not request.path_info.startswith(_ROOTS):
            return self.get_response(request)
        if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META:
            answer: HttpResponseBase = HttpResponse(status=204, content_type="text/plain")
            if _admit(answer, origin):
                answer["Access-Control-Allow-Methods"] = _METHODS
                answer["Access-Control-Allow-Headers"] = _ALLOWED
                answer["Access-Control-Max-Age"] = _KEPT_S
        else:
            answer = self.get_response(request)
            if _admit(answer, origin):
                answer["Access-Control-Expose-Headers"] = _EXPOSED
        patch_vary_headers(answer, ["Origin"])
        return answer


def _admit(answer: HttpResponseBase, origin: str) -> bool:
    """Whether a page of this origin may read the answer; says so in it."""
    allowed = settings.CORS_ALLOWED_ORIGINS
    if origin and origin in allowed:
        answer["Access-Control-Allow-Origin"] = origin
        answer["Access-Control-Allow-Credentials"] = "true"
    elif origin and "*" in allowed:
        answer["Access-Control-Allow-Origin"] = "*"
    else:
        return False
    return True
