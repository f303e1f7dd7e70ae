"""What the parties of a consultation do: each a form sent by POST, then the consultation's page again."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from common.errors import DomainError, NotFound
from common.ui.pages import actor_of
from sharing.selectors import consultations as reads
from sharing.services.consulting import answering, asking, ending, signing
from sharing.web.consulting import named_studies, number, shown


@require_POST
def accept(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/accept``: take the question on."""
    return _done(
        request,
        consultation_id,
        lambda: answering.accept(actor=actor_of(request), consultation_id=consultation_id),
        _("Accepted."),
    )


@require_POST
def decline(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/decline``: say no, with a reason."""
    return _done(
        request,
        consultation_id,
        lambda: answering.decline(
            actor=actor_of(request),
            consultation_id=consultation_id,
            reason=request.POST.get("reason", ""),
        ),
        _("Declined: the studies are no longer shown to you."),
    )


@require_POST
def forward(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/forward``: hand it to a colleague of the department."""
    actor = actor_of(request)

    def act() -> None:
        answering.forward(
            actor=actor,
            consultation_id=consultation_id,
            user_id=number(request.POST.get("user", "")),
            text=request.POST.get("text", ""),
        )

    return _done(request, consultation_id, act, _("Forwarded: your colleague is asked now."))


@require_POST
def write(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/write``: a message to the other side."""
    return _done(
        request,
        consultation_id,
        lambda: answering.write(
            actor=actor_of(request),
            consultation_id=consultation_id,
            text=request.POST.get("text", ""),
        ),
        "",
    )


@require_POST
def attach(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/attach``: further studies, named by ``CODE/UID``."""
    actor = actor_of(request)

    def act() -> None:
        studies = named_studies(actor, request.POST.getlist("study"))
        asking.attach(actor=actor, consultation_id=consultation_id, studies=studies)

    return _done(request, consultation_id, act, _("Attached: both sides see it now."))


@sensitive_post_parameters("password", "code")
@require_POST
def sign(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/sign``: sign an opinion with password and, where there is one, one-time code."""
    given = request.POST
    draft = signing.Draft(
        opinion=given.get("opinion", ""),
        findings=given.get("findings", ""),
        advice=given.get("advice", ""),
        reason=given.get("reason", ""),
    )
    return _done(
        request,
        consultation_id,
        lambda: signing.sign(
            actor=actor_of(request),
            consultation_id=consultation_id,
            draft=draft,
            password=given.get("password", ""),
            code=given.get("code", ""),
        ),
        _("Signed: the opinion is sealed and shown to the other side."),
        at="sign",
    )


@require_POST
def close(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/close``: end an answered consultation."""
    return _done(
        request,
        consultation_id,
        lambda: ending.close(actor=actor_of(request), consultation_id=consultation_id),
        _("Closed: the other side no longer sees the studies."),
    )


@require_POST
def withdraw(request: HttpRequest, consultation_id: int) -> HttpResponse:
    """``POST …/withdraw``: take the question back."""
    return _done(
        request,
        consultation_id,
        lambda: ending.withdraw(
            actor=actor_of(request),
            consultation_id=consultation_id,
            reason=request.POST.get("reason", ""),
        ),
        _("Withdrawn: the other side no longer sees the studies."),
    )


def _done(
    request: HttpRequest,
    consultation_id: int,
    act: Callable[[], object],
    success: str,
    *,
    at: str = "thread",
) -> HttpResponse:
    """Do it and go back to the page; after a refusal show the page with what was typed, except secrets."""
    try:
        act()
    except NotFound:
        raise
    except DomainError as error:
        return shown(request, consultation_id, refusal=error, at=at)
    if success:
        messages.success(request, success)
    if not reads.taking_part(actor_of(request)).filter(pk=consultation_id).exists():
        return redirect("sharing:consultations")  # whoever forwarded it may be no party any more
    return redirect("sharing:consultation", consultation_id)
