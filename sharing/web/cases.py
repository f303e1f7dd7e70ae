"""Quarantine cases of an institution: found, compared, decided with a reason."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from pydicom.datadict import keyword_for_tag

from common import audit
from common.errors import NotPermitted
from common.ui.pages import actor_of, page
from hospitals import selectors as hospitals
from sharing.domain.difference import Difference
from sharing.models import Quarantined, Study
from sharing.permissions import decide
from sharing.selectors import keeping as reads
from sharing.selectors import operations
from sharing.selectors.overview import run_by
from sharing.services import comparing, quarantine, resolving
from sharing.web.keeping import say

PAGE = 25


def visible(request: HttpRequest, institution_id: int) -> bool:
    """Whether the tabs show the cases."""
    return run_by(actor_of(request)).covers(institution_id)


@require_safe
def cases(request: HttpRequest, code: str) -> HttpResponse:
    """``GET /hospitals/{code}/cases/?state=&reason=``: open ones where nothing is said."""
    row = hospitals.get_health(actor=request.user, code=code)
    if not visible(request, row.institution_id):
        raise NotPermitted(_("Your roles do not allow this."))
    state = request.GET.get("state", Quarantined.State.OPEN)
    reason = request.GET.get("reason", "")
    found = reads.list_cases(institution_id=row.institution_id, state=state, reason=reason)
    context: dict[str, object] = {
        "row": row,
        "state": state,
        "reason": reason,
        "states": Quarantined.State.choices,
        "reasons": Quarantined.Reason.choices,
        "found": Paginator(found, PAGE).get_page(request.GET.get("page")),
    }
    return page(request, "sharing/cases.html", context)


@require_safe
def case(request: HttpRequest, case_id: int) -> HttpResponse:
    """``GET /operations/cases/{id}/``: both sides. Values are shown to who may see the study, else only names."""
    actor = actor_of(request)
    row = operations.get_case(actor=actor, case_id=case_id)
    study = Study.objects.filter(
        institution_id=row.institution_id, study_instance_uid=row.study_instance_uid
    ).first()
    basis = decide(actor, study).basis if study is not None else None
    audit.record_view(actor, "quarantine.view", row, basis=basis or "operation")
    compared = comparing.compare(row)
    takes = (
        row.state == Quarantined.State.OPEN
        and row.reason == Quarantined.Reason.CONFLICT
        and compared.held is not None
        and compared.readable
    )
    context: dict[str, object] = {
        "case": row,
        "compared": compared,
        "differences": [(name_of(each), each) for each in compared.differences],
        "shows_values": basis is not None,
        "takes": takes,
    }
    return page(request, "sharing/case.html", context)


def name_of(difference: Difference) -> str:
    """The keyword of a differing attribute (PS3.6), empty for a private one."""
    try:
        return keyword_for_tag(int(difference.tag, 16))
    except ValueError:
        return ""


@require_POST
def resolve(request: HttpRequest, case_id: int) -> HttpResponse:
    """``POST /operations/cases/{id}/resolve``: ``do`` is keep, take or reject; with a reason."""
    actor = actor_of(request)
    row = operations.get_case(actor=actor, case_id=case_id)
    note = request.POST.get("note", "")
    if request.POST.get("do") == "take":
        say(
            request,
            lambda: resolving.take_theirs(actor=actor, case_id=row.pk, note=note),
            _("Taken in as a new revision; the former one stays in the bucket."),
        )
    else:
        say(
            request,
            lambda: quarantine.settle(actor=actor, case_id=row.pk, note=note),
            _("The case is closed; its bytes stay in quarantine."),
        )
    return redirect("sharing:case", row.pk)
