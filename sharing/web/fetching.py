"""A study that is not wholly here: the button that fetches it, the progress, and the way into the viewer."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from common.errors import DomainError, NotFound
from common.ui.pages import actor_of, is_fragment, page
from sharing import selectors
from sharing.errors import FetchFailed
from sharing.models import Study
from sharing.selectors.retrieval import retrieval_of
from sharing.services import on_demand

# The progress was begun by this reader, who wants the images when they are here.
THEN_OPEN = "open"
# The progress stands in a row of a patient's time line, beside others.
IN_ROW = "row"


@require_http_methods(["GET", "HEAD", "POST"])
def fetch(request: HttpRequest, code: str, study_uid: str) -> HttpResponse:
    """``/studies/{code}/{uid}/fetch/``: POST begins, GET shows how far it is."""
    study = selectors.get_visible_study(
        actor=actor_of(request), study_instance_uid=study_uid, institution_code=code
    )
    refusal = _begin(request, study) if request.method == "POST" else None
    wanted = request.method == "POST" or request.GET.get("then") == THEN_OPEN
    context = fetch_context(study, refusal=refusal, then_open=wanted)
    if is_fragment(request) and request.GET.get("in") == IN_ROW:
        return page(request, "sharing/_fetch_row.html", context)
    if wanted and not refusal and not context["retrieval"].missing:
        return _open(request, study)
    if request.method == "POST" and not is_fragment(request) and not refusal:
        return redirect("sharing:study", code, study_uid)
    response = page(request, "sharing/fetch.html", context, fragment="sharing/_fetch.html")
    if refusal is not None and not is_fragment(request):
        response.status_code = 503
    return response


def fetch_context(
    study: Study, *, refusal: DomainError | None = None, then_open: bool = False
) -> dict[str, Any]:
    """What the panel shows."""
    return {
        "study": study,
        "retrieval": retrieval_of(study_id=study.pk, listed_instances=study.listed_instances),
        "refusal": refusal,
        "then_open": then_open,
    }


def _begin(request: HttpRequest, study: Study) -> DomainError | None:
    actor = actor_of(request)
    place = selectors.place_study(
        actor=actor,
        study_instance_uid=study.study_instance_uid,
        institution_code=study.institution.code,
    )
    try:
        on_demand.start_study(actor=actor, place=place)
    except NotFound:
        return FetchFailed()
    except DomainError as error:
        return error
    return None


def _open(request: HttpRequest, study: Study) -> HttpResponse:
    there = reverse("sharing:open", args=[study.institution.code, study.study_instance_uid])
    if is_fragment(request):
        return HttpResponse(
            status=204, headers={"HX-Redirect": there}, content_type="text/plain; charset=utf-8"
        )
    return redirect(there)
