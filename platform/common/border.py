"""What holds for every request and every answer, whatever the view: the outermost rules of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from common import audit
from common.dicom.uids import is_valid_uid
from common.problem import error_response

# Answers may speak of patients: unless a view knows better, nobody keeps a copy (RFC 9111 §5.2.2).
KEEP_NOTHING = "private, no-store"


class BorderMiddleware:
    """Refuses addresses with a NUL, which no column can hold; closes answers to caches by default.

    Notes in the audit who was refused what. A study that is hidden and one that is absent are noted alike,
    so that neither the answer nor the time it takes tells them apart.
    """

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
        _note_refusal(request, answer.status_code)
        if not answer.has_header("Cache-Control"):
            answer.headers["Cache-Control"] = KEEP_NOTHING
        return answer


def _holds_nul(request: HttpRequest) -> bool:
    query = request.META.get("QUERY_STRING", "")
    return "\x00" in request.path_info or "\x00" in query or "%00" in query


def _names_something(kwargs: Mapping[str, object]) -> bool:
    """Whether the address names one person, report or entry: who tries key after key is to be seen."""
    return any(name == "key" or name.endswith("_id") for name in kwargs)


def _note_refusal(request: HttpRequest, status: int) -> None:
    match, user = request.resolver_match, getattr(request, "user", None)
    if status not in (403, 404) or match is None or user is None or not user.is_authenticated:
        return
    study = str(match.kwargs.get("study_uid", ""))
    if status == 404 and not (is_valid_uid(study) or _names_something(match.kwargs)):
        return  # a wrong address, and nobody's data
    audit.record_view(
        user,
        "access.refused",
        object_type="route",
        object_id=match.view_name or "",
        study_instance_uid=study if is_valid_uid(study) else "",
        result="refused" if status == 403 else "not-found",
    )
