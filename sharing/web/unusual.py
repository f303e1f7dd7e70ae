"""The list of unusual access, and its review."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from common import audit
from common.audit.search import TrailSearch
from common.errors import DomainError, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import words
from hospitals import selectors as hospitals
from sharing.models import AccessFinding
from sharing.selectors import audit_trail as reads
from sharing.selectors import unusual as findings
from sharing.services import unusual as services
from sharing.web.audit import shown

PAGE = 25
LOOKS_SHOWN = 100


@require_safe
def unusual(request: HttpRequest) -> HttpResponse:
    """``GET /audit/unusual/``: what is to be reviewed, and what was."""
    actor = actor_of(request)
    scope = reads.require_scope(actor)
    state = _one_of(request.GET.get("state", "open"), AccessFinding.State.values)
    kind = _one_of(request.GET.get("kind", ""), AccessFinding.Kind.values)
    rows = findings.list_findings(scope=scope, state=state, kind=kind)
    audit.record_view(actor, "audit.search", object_type="unusual-access", purpose="review")
    context: dict[str, object] = {
        "found": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "state": state,
        "kind": kind,
        "states": AccessFinding.State.choices,
        "kinds": AccessFinding.Kind.choices,
        "open_by_kind": findings.open_by_kind(scope=scope),
        "scope": scope,
    }
    return page(
        request, "sharing/audit/unusual.html", context, fragment="sharing/audit/_findings.html"
    )


@require_http_methods(["GET", "HEAD", "POST"])
def finding(request: HttpRequest, finding_id: int) -> HttpResponse:
    """``/audit/unusual/{id}/``: one finding with its entries; POST decides it."""
    actor = actor_of(request)
    scope = reads.require_scope(actor)
    row = findings.get_finding(scope=scope, finding_id=finding_id)
    if request.method == "POST" and _decide(request, row):
        return redirect("audit:unusual")
    audit.record_view(
        actor,
        "audit.view",
        object_type="sharing.accessfinding",
        object_id=row.pk,
        person_key=row.person_key,
    )
    found = reads.search_trail(scope=scope, wanted=_looks_of(row), size=LOOKS_SHOWN)
    context: dict[str, object] = {
        "finding": row,
        "rows": shown(found.entries),
        "cut": bool(found.following),
        "places": hospitals.institution_names(row.institution_ids),
        "may_decide": row.state == AccessFinding.State.OPEN and row.actor_id != actor.pk,
        "own": row.actor_id == actor.pk,
    }
    return page(request, "sharing/audit/finding.html", context)


def home_panel(request: HttpRequest, subject: Any) -> dict[str, Any] | None:
    """On the start page: how much waits, by kind; nothing for those who review nothing."""
    scope = reads.scope_of(actor_of(request))
    if not scope:
        return None
    waiting = findings.open_by_kind(scope=scope)
    labels = dict(AccessFinding.Kind.choices)
    return {
        "waiting": [
            (kind, labels[kind], waiting.get(kind, 0)) for kind in AccessFinding.Kind.values
        ],
        "total": sum(waiting.values()),
    }


def _decide(request: HttpRequest, row: AccessFinding) -> bool:
    verdict = request.POST.get("verdict", "")
    if verdict not in {"justified", "abuse"}:
        messages.error(request, _("Choose whether the access was justified."))
        return False
    try:
        services.review(
            actor=actor_of(request),
            finding=row,
            justified=verdict == "justified",
            note=request.POST.get("note", ""),
        )
    except NotPermitted:
        raise
    except DomainError as error:
        messages.error(request, str(words(error.code).what))
        return False
    messages.success(request, _("Reviewed: it stands in the audit trail."))
    return True


def _looks_of(row: AccessFinding) -> TrailSearch:
    return TrailSearch(
        since=row.first_at,
        until=row.last_at + services.SHORTLY,
        actor_id=row.actor_id,
        person_key=row.person_key,
    )


def _one_of(value: str, known: list[str]) -> str:
    return value if value in known else ""
