"""What holds for every request and every answer, whatever the view: the outermost rules of ours."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from common.problem import error_response

# Answers may speak of patients: unless a view knows better, nobody keeps a copy (RFC 9111 §5.2.2).
KEEP_NOTHING = "private, no-store"


class BorderMiddleware:
    """Refuses addresses with a NUL, which no column can hold; closes answers to caches by default."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer: HttpResponseBase
        if _holds_nul(request):
            answer = error_response(
                request,
                400,
                code="bad-request",
                detail=_("The address holds characters that are not allowed."),
            )
        else:
            answer = self.get_response(request)
        if not answer.has_header("Cache-Control"):
            answer.headers["Cache-Control"] = KEEP_NOTHING
        return answer


def _holds_nul(request: HttpRequest) -> bool:
    query = request.META.get("QUERY_STRING", "")
    return "\x00" in request.path_info or "\x00" in query or "%00" in query
