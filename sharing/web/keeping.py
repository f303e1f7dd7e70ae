"""Pages of those who keep an institution's archive: deletions with their undo, and legal holds."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from common import audit
from common.errors import DomainError, NotFound, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import in_words
from hospitals import selectors as hospitals
from sharing.models import Deletion, LegalHold
from sharing.selectors import keeping as reads
from sharing.selectors import listing
from sharing.selectors.listing import StudyRow
from sharing.services import deleting, holding, rebuilding

PAGE = 25


def visible(request: HttpRequest, institution_id: int) -> bool:
    """Whether the tabs show these pages."""
    return reads.keeps(actor_of(request), institution_id)


def kept_row(request: HttpRequest, code: str) -> hospitals.HealthRow:
    """The institution of a page that only its keepers get.

    Raises:
        InstitutionUnknown: none, or not the reader's to know.
        NotPermitted: the reader does not keep it.
    """
    row = hospitals.get_health(actor=request.user, code=code)
    if not visible(request, row.institution_id):
        raise NotPermitted(_("Your roles do not allow this."))
    return row


def say(request: HttpRequest, act: Callable[[], object], success: str) -> bool:
    """Do it and say how it went; what is absent or forbidden stays an error of its own."""
    try:
        act()
    except (NotFound, NotPermitted):
        raise
    except DomainError as error:
        messages.error(request, in_words(error))
        return False
    messages.success(request, success)
    return True


@require_safe
def deletions(request: HttpRequest, code: str) -> HttpResponse:
    """``GET /hospitals/{code}/deletions/``: what was deleted and until when it can be undone; legal holds."""
    row = kept_row(request, code)
    actor = actor_of(request)
    audit.record_view(
        actor, "deletion.list", object_type="institution", object_id=code, purpose="operation",
        institution_id=row.institution_id,
    )  # fmt: skip
    found = reads.list_deletions(institution_id=row.institution_id)
    holds = reads.list_holds(institution_id=row.institution_id)
    context: dict[str, object] = {
        "row": row,
        "found": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "holds": Paginator(holds, PAGE).get_page(request.GET.get("holds")),
        "may_release": reads.may_release(actor),
    }
    return page(request, "sharing/deletions.html", context)


@require_POST
def undelete(request: HttpRequest, deletion_id: int) -> HttpResponse:
    """``POST /operations/deletions/{id}/undo``: bring a deleted study back within its grace."""
    actor = actor_of(request)
    row = reads.get_deletion(actor=actor, deletion_id=deletion_id)
    say(
        request,
        lambda: rebuilding.bring_back(
            actor=actor,
            institution_id=row.institution_id,
            study_instance_uid=row.study_instance_uid,
        ),
        _("The study is back."),
    )
    return redirect("sharing:deletions", row.institution.code)


@require_POST
def hold(request: HttpRequest, code: str) -> HttpResponse:
    """``POST /hospitals/{code}/holds``: put a study under legal hold, with the file number of the case."""
    row = kept_row(request, code)
    say(
        request,
        lambda: holding.set_hold(
            actor=actor_of(request),
            institution_id=row.institution_id,
            study_instance_uid=request.POST.get("study", "").strip()[:64],
            reference=request.POST.get("reference", "").replace("\x00", ""),
        ),
        _("On hold: the study can be neither deleted nor purged."),
    )
    return redirect("sharing:deletions", code)


@require_POST
def release(request: HttpRequest, hold_id: int) -> HttpResponse:
    """``POST /operations/holds/{id}/release``: for the commission and operators."""
    actor = actor_of(request)
    row = reads.get_hold(actor=actor, hold_id=hold_id)
    if not reads.may_release(actor):
        raise NotPermitted(
            _("The province releases a legal hold: the hospital may be a party of the case.")
        )
    say(
        request,
        lambda: holding.release_hold(
            actor=actor,
            institution_id=row.institution_id,
            study_instance_uid=row.study_instance_uid,
        ),
        _("Released."),
    )
    return redirect("sharing:deletions", row.institution.code)


@require_POST
def delete(request: HttpRequest, code: str, study_uid: str) -> HttpResponse:
    """``POST /studies/{code}/{uid}/delete``: by the institution's own administrator, with one of the reasons."""
    actor = actor_of(request)
    row = listing.get_study_row(actor=actor, institution_code=code, study_instance_uid=study_uid)
    if not reads.may_delete(actor, row.study.institution_id):
        raise NotPermitted(_("Your roles do not allow this."))
    done = say(
        request,
        lambda: deleting.delete_study(
            actor=actor,
            institution_id=row.study.institution_id,
            study_instance_uid=study_uid,
            reason=request.POST.get("reason", ""),
        ),
        _("Deleted: it is hidden at once, and can be brought back until its time of grace ends."),
    )
    if done:
        return redirect("sharing:deletions", code)
    return redirect("sharing:study", code, study_uid)


def study_panel(request: HttpRequest, row: StudyRow) -> dict[str, object] | None:
    """Deletion and legal hold on a study's page, for its institution's keepers."""
    actor = actor_of(request)
    study = row.study
    if not reads.keeps(actor, study.institution_id):
        return None
    in_force = LegalHold.objects.filter(
        institution_id=study.institution_id,
        study_instance_uid=study.study_instance_uid,
        released_at=None,
    )
    return {
        "study": study,
        "reasons": Deletion.Reason.choices,
        "may_delete": reads.may_delete(actor, study.institution_id),
        "hold": in_force.first(),
    }
