"""HL7 messages of hospitals: what came, what became of it, and the way to act on it again."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from common.errors import NotPermitted
from common.ui.pages import actor_of, page
from sharing.models import HospitalMessage
from sharing.selectors import messages as reads
from sharing.selectors.overview import run_by
from sharing.services.hl7 import replaying
from sharing.services.hl7.acting import ACTS

PAGE = 50
KINDS = tuple(f"{kind}^{event}" for kind, event in ACTS)


def may_see_messages(request: HttpRequest) -> bool:
    """Whether there are messages whose fate this reader may know."""
    return bool(run_by(actor_of(request)))


def waiting(request: HttpRequest) -> int:
    """How many failed messages wait for this reader."""
    return reads.count_failed(actor=actor_of(request))


@require_safe
def message_list(request: HttpRequest) -> HttpResponse:
    """``GET /operations/messages/``: by state, type, institution and day; never with a patient."""
    _require(request)
    actor = actor_of(request)
    wanted = _filter(request)
    found = Paginator(reads.list_messages(actor=actor, wanted=wanted), PAGE)
    context: dict[str, object] = {
        "found": found.get_page(request.GET.get("page")),
        "wanted": wanted,
        "states": HospitalMessage.State.choices,
        "kinds": KINDS,
        "senders": reads.list_senders(actor=actor),
        "query": urlencode(_asked(request)),
        "filtered": bool(_asked(request)),
    }
    return page(request, "sharing/messages.html", context)


@require_safe
def message(request: HttpRequest, message_id: int) -> HttpResponse:
    """``GET /operations/messages/{id}/``: one message; its content by a button, for its institution's own people."""
    _require(request)
    actor = actor_of(request)
    row = reads.get_message(actor=actor, message_id=message_id)
    return page(request, "sharing/message.html", _context(request, row))


@require_POST
def content(request: HttpRequest, message_id: int) -> HttpResponse:
    """``POST /operations/messages/{id}/content``: the segments as they came. Patient data, so looking is audited."""
    _require(request)
    actor = actor_of(request)
    row = reads.get_message(actor=actor, message_id=message_id)
    context = _context(request, row)
    if not context["may_read"]:
        raise NotPermitted(_("Only the institution's own administrator may read a message."))
    context["lines"] = replaying.content(actor=actor, message=row)
    return page(request, "sharing/message.html", context)


@require_POST
def replay(request: HttpRequest, message_id: int) -> HttpResponse:
    """``POST /operations/messages/{id}/replay``: act on it again."""
    _require(request)
    actor = actor_of(request)
    row = reads.get_message(actor=actor, message_id=message_id)
    answer = replaying.replay(actor=actor, message_id=row.pk)
    if answer.accepted:
        messages.success(request, _("Done: the message was acted on."))
    else:
        messages.error(request, _("It failed again: see the reason."))
    return redirect("sharing:message", message_id)


def _context(request: HttpRequest, row: HospitalMessage) -> dict[str, object]:
    may_read = reads.may_read_content(actor=actor_of(request), message=row)
    return {"row": row, "may_read": may_read, "lines": None}


def _require(request: HttpRequest) -> None:
    if not may_see_messages(request):
        raise NotPermitted(_("Your roles do not allow this."))


_NAMES = ("institution", "state", "kind", "since", "until")


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name][:64] for name in _NAMES if request.GET.get(name)}


def _filter(request: HttpRequest) -> reads.MessageFilter:
    asked = _asked(request)
    state = asked.get("state", "")
    return reads.MessageFilter(
        institution_code=asked.get("institution", ""),
        state=state if state in HospitalMessage.State.values else "",
        kind=asked.get("kind", ""),
        since=_day(asked.get("since", "")),
        until=_day(asked.get("until", "")),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
