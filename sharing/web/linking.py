"""The queue of patients that may be one person, compared side by side, and the history of joins."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from common import audit
from common.errors import DomainError, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import words
from sharing.domain.likeness import Ground
from sharing.selectors import links as reads
from sharing.services import candidates, linking

PAGE = 25
# What each line of the comparison is about, and the grounds that speak of it.
_LINES = {
    "name": (Ground.NAME_SAME, Ground.NAME_ALIKE, Ground.NAME_DIFFERS),
    "birth": (Ground.BIRTH_DATE_SAME, Ground.BIRTH_DATE_DIFFERS),
    "sex": (Ground.SEX_SAME, Ground.SEX_DIFFERS),
    "resident_id": (Ground.RESIDENT_ID_SAME, Ground.RESIDENT_ID_DIFFERS),
    "insurance_code": (Ground.INSURANCE_CODE_SAME,),
    "document": (Ground.DOCUMENT_SAME,),
    "phone": (Ground.PHONE_SAME,),
    "number": (Ground.NUMBER_SAME,),
}


def may_review(request: HttpRequest) -> bool:
    """Whether this reader keeps master data."""
    return bool(reads.keeper(actor_of(request)))


def count_waiting(request: HttpRequest) -> int:
    """How many pairs wait for this reader."""
    return reads.count_open(actor_of(request))


@require_safe
def link_review(request: HttpRequest) -> HttpResponse:
    """``GET /link-review/``: the pairs that wait, the likeliest first."""
    _require(request)
    actor = actor_of(request)
    found = Paginator(reads.open_candidates(actor), PAGE).get_page(request.GET.get("page"))
    audit.record_view(actor, "candidate.list", object_type="sharing.linkcandidate")
    context: dict[str, object] = {
        "found": found,
        "pairs": reads.pairs(actor, list(found.object_list)),
    }
    return page(request, "sharing/link_review.html", context)


@require_safe
def link_pair(request: HttpRequest, candidate_id: int) -> HttpResponse:
    """``GET /link-review/{id}/``: two patients side by side, masked, with what agrees and what differs."""
    _require(request)
    actor = actor_of(request)
    candidate = reads.get_candidate(actor=actor, candidate_id=candidate_id)
    (pair,) = reads.pairs(actor, [candidate])
    audit.record_view(actor, "candidate.view", candidate)
    said = {
        line: next((each for each in grounds if each in pair.grounds), "")
        for line, grounds in _LINES.items()
    }
    return page(request, "sharing/link_pair.html", {"pair": pair, "said": said})


@require_POST
def link_decide(request: HttpRequest, candidate_id: int) -> HttpResponse:
    """``POST /link-review/{id}/decide``: one person, or two, with a reason; then the next pair."""
    _require(request)
    actor = actor_of(request)
    candidate = reads.get_candidate(actor=actor, candidate_id=candidate_id)
    one = request.POST.get("verdict") == "one"
    if not one and request.POST.get("verdict") != "two":
        return redirect("sharing:link-pair", candidate_id)
    try:
        candidates.decide(
            actor=actor, candidate=candidate, link=one, reason=request.POST.get("reason", "")
        )
    except NotPermitted:
        raise
    except DomainError as error:
        messages.error(request, str(words(error.code).what))
        return redirect("sharing:link-pair", candidate_id)
    messages.success(
        request,
        _("Joined to one person; it can be taken back in the history.")
        if one
        else _("Kept as two persons."),
    )
    following = reads.open_candidates(actor).first()
    if following is None:
        return redirect("sharing:link-review")
    return redirect("sharing:link-pair", following.pk)


@require_safe
def link_history(request: HttpRequest) -> HttpResponse:
    """``GET /link-review/history/``: what was joined and taken apart, by whom, on which ground."""
    _require(request)
    actor = actor_of(request)
    found = Paginator(reads.history(actor), PAGE).get_page(request.GET.get("page"))
    audit.record_view(actor, "candidate.list", object_type="sharing.linkevent", purpose="history")
    context: dict[str, object] = {
        "found": found,
        "decisions": reads.decisions(actor, list(found.object_list)),
    }
    return page(request, "sharing/link_history.html", context)


@require_POST
def link_undo(request: HttpRequest, event_id: int) -> HttpResponse:
    """``POST /link-review/history/{id}/undo``: take a join back; everything is as it was before."""
    _require(request)
    actor = actor_of(request)
    event = reads.get_event(actor=actor, event_id=event_id)
    try:
        linking.unlink(actor=actor, event=event, reason=request.POST.get("reason", ""))
        messages.success(request, _("Taken apart: each patient is with its former person again."))
    except DomainError as error:
        messages.error(request, str(words(error.code).what))
    return redirect("sharing:link-history")


def _require(request: HttpRequest) -> None:
    if not may_review(request):
        raise NotPermitted(_("Your roles do not allow this."))
