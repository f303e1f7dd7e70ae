"""Remote consultations: the inbox, asking, and one consultation as its parties see it."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from common import audit
from common.accounts import factors
from common.accounts.confirming import needs_password
from common.accounts.models import User
from common.errors import DomainError, NotFound, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import words
from hospitals import selectors as hospitals
from sharing import selectors
from sharing.domain.consulting import LONGEST_TEXT, MOST_STUDIES, NOT_PASSED_ON, TERMS, USUAL_TERM
from sharing.models import Consultation, Study
from sharing.selectors import consultations as reads
from sharing.selectors.consultations import Box, ConsultationView
from sharing.selectors.listing import StudyRow
from sharing.services.consulting import asking, rows

PAGE = 25
# These say in their own text what is missing; the others have a sentence by their code.
_OWN_TEXT = frozenset({"consultation-invalid", "consultation-state-conflict", "not-confirmed"})


def may_take_part(request: HttpRequest) -> bool:
    """Whether the navigation shows the consultations."""
    return reads.may_take_part(actor_of(request))


def count_waiting(request: HttpRequest) -> int:
    """How many consultations want this reader."""
    return reads.count_waiting(actor_of(request))


def study_panel(request: HttpRequest, row: StudyRow) -> dict[str, object] | None:
    """The way from a study's page to a question about it, for who may pass the study on."""
    actor = actor_of(request)
    if not row.basis or row.basis in NOT_PASSED_ON or not reads.may_take_part(actor):
        return None
    return {"study": row.study}


def said(error: DomainError) -> str:
    """A refusal in the reader's language."""
    return error.message if error.code in _OWN_TEXT else str(words(error.code).what)


@require_safe
def consultations(request: HttpRequest) -> HttpResponse:
    """``GET /consultations/?box=``: what one is asked, what one asked, and what has ended."""
    actor = actor_of(request)
    if not reads.may_take_part(actor):
        raise NotPermitted
    given = request.GET.get("box", "")
    box = Box(given) if given in list(Box) else Box.INBOX
    found = reads.list_consultations(actor=actor, box=box)
    context: dict[str, object] = {
        "box": box,
        "boxes": list(Box),
        "found": Paginator(found, PAGE).get_page(request.GET.get("page")),
    }
    return page(
        request, "sharing/consultations.html", context, fragment="sharing/_consultations.html"
    )


@require_http_methods(["GET", "HEAD", "POST"])
def consult_new(request: HttpRequest) -> HttpResponse:
    """``/consultations/new/?study=CODE/UID``: first the hospital is chosen, then whom to ask what."""
    actor = actor_of(request)
    places = hospitals.places_of_advisers(actor)
    if actor.is_system or not places:
        raise NotPermitted
    asked = request.POST if request.method == "POST" else request.GET
    # What the page is about stays when a box is unticked; what is ticked is attached.
    about = named_studies(actor, asked.getlist("about") or asked.getlist("study"))
    refusal = ""
    if request.method == "POST":
        try:
            studies = named_studies(actor, request.POST.getlist("study"))
            row = asking.ask(actor=actor, question=_question(request), studies=studies)
        except (NotFound, NotPermitted):
            raise
        except DomainError as error:
            refusal = said(error)
        else:
            return redirect("sharing:consultation", row.pk)
    context = _new_context(actor, about, asked.get("at", "")) | {
        "places": list(places.values()),
        "given": request.POST,
        "refusal": refusal,
    }
    response = page(request, "sharing/consult_new.html", context)
    response.status_code = 422 if refusal else 200
    return response


def _new_context(actor: User, studies: list[Study], code: str) -> dict[str, object]:
    institutions = list(hospitals.advising_institutions())
    chosen = next((each for each in institutions if each.code == code), None)
    own = set(reads.passable(actor, studies))
    more = reads.list_attachable(actor=actor, about=studies, but=[each.pk for each in studies])
    return {
        "studies": [(each, each in own) for each in studies],
        "more": more,
        "institutions": institutions,
        "chosen": chosen,
        "departments": _whom(chosen.pk, actor) if chosen else [],
        "urgencies": Consultation.Urgency.choices,
        "terms": TERMS,
        "usual": USUAL_TERM,
        "longest": LONGEST_TEXT,
    }


@dataclass(frozen=True)
class Whom:
    """A department as the form offers it: the values of the whole and of each colleague."""

    value: str
    name: str
    colleagues: list[tuple[str, str]]


def _whom(institution_id: int, actor: User) -> list[Whom]:
    found = [
        Whom(
            f"d{each.department_id}",
            each.name,
            [(f"u{one.user_id}", one.name) for one in each.colleagues if one.user_id != actor.pk],
        )
        for each in hospitals.list_departments(institution_id=institution_id)
    ]
    return [each for each in found if each.colleagues]


def named_studies(actor: User, named: list[str]) -> list[Study]:
    """The studies that ``CODE/UID`` name, each once.

    Raises:
        NotFound: one of them is not there for this reader.
    """
    found: dict[int, Study] = {}
    for text in named[:MOST_STUDIES]:
        code, _slash, uid = text.partition("/")
        study = selectors.get_visible_study(
            actor=actor, study_instance_uid=uid.replace("\x00", ""), institution_code=code or "?"
        )
        found[study.pk] = study
    return list(found.values())


def _question(request: HttpRequest) -> asking.Question:
    given = request.POST
    chosen = hospitals.advising_institutions().filter(code=given.get("at", "")).first()
    whom = given.get("whom", "")
    return asking.Question(
        asking_institution_id=number(given.get("from", "")),
        asked_institution_id=chosen.pk if chosen else 0,
        department_id=number(whom[1:]) if whom[:1] == "d" else None,
        user_id=number(whom[1:]) if whom[:1] == "u" else None,
        question=given.get("question", ""),
        summary=given.get("summary", ""),
        urgency=given.get("urgency", ""),
        days=number(given.get("days", "")),
    )


def number(text: str) -> int:
    """A number of a form; 0 for anything else, which names nothing."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


@require_safe
def consultation(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``GET /consultations/{id}/``; htmx asks for the thread again now and then."""
    return shown(request, consultation_id)


def shown(
    request: HttpRequest,
    consultation_id: int,
    *,
    refusal: DomainError | None = None,
    at: str = "",
) -> HttpResponse:
    """The page of one consultation, after a refusal with what was typed at that place."""
    actor = actor_of(request)
    view = reads.view_consultation(actor=actor, consultation_id=consultation_id, now=timezone.now())
    if view.entries:
        rows.mark_seen(
            actor=actor, consultation_id=consultation_id, newest_entry=view.entries[-1].pk
        )
    audit.record_view(actor, "consultation.view", view.consultation, purpose="consultation")
    context: dict[str, object] = {
        "view": view,
        "row": view.consultation,
        "refusal": said(refusal) if refusal else "",
        "refused_at": at,
        "given": request.POST if refusal else {},
    }
    if not request.headers.get("HX-Request"):
        context |= _what_may_be_done(actor, view)
    response = page(
        request, "sharing/consultation.html", context, fragment="sharing/_consult_thread.html"
    )
    if refusal is not None:
        response.status_code = 409
    return response


def _what_may_be_done(actor: User, view: ConsultationView) -> dict[str, object]:
    if not view.in_force:
        return {}
    row = view.consultation
    studies = [each.study for each in view.studies if each.study is not None and each.visible]
    forwards = view.asked and row.state != Consultation.State.ANSWERED
    return {
        "attachable": reads.list_attachable(
            actor=actor, about=studies, but=[each.pk for each in studies]
        ),
        "colleagues": reads.list_colleagues(actor=actor, consultation=row) if forwards else [],
        "signs": view.asked and row.state != Consultation.State.ASKED,
        "needs_password": needs_password(actor),
        "needs_code": factors.has_factor(actor),
        "longest": LONGEST_TEXT,
    }


@require_safe
def consult_print(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``GET /consultations/{id}/print/``: the newest opinion as a sheet, with what it was signed by."""
    actor = actor_of(request)
    view = reads.view_consultation(actor=actor, consultation_id=consultation_id, now=timezone.now())
    if view.newest is None:
        raise NotFound
    audit.record(actor, "consultation.print", view.consultation, purpose="consultation")
    return page(
        request,
        "sharing/consult_print.html",
        {"view": view, "row": view.consultation, "signed": view.newest, "now": timezone.now()},
    )
