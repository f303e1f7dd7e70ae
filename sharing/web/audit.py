"""The audit trail for the data office: search, one entry, a file, and whether the chain is whole."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from common import audit
from common.audit.actions import action_of
from common.audit.models import AuditEntry, ChainCheck, DailyAnchor
from common.audit.search import BadCursor, TrailSearch
from common.errors import NotFound
from common.ui.pages import actor_of, page
from sharing.selectors import audit_trail as reads
from sharing.selectors import unusual
from sharing.web.audit_forms import RESULTS, TrailForm, action_choices, basis_choices

EXPORT_LIMIT = 100_000
ANCHORS_SHOWN = 7


def may_review(request: HttpRequest) -> bool:
    """Whether the navigation shows the trail."""
    return bool(reads.scope_of(actor_of(request)))


def waiting(request: HttpRequest) -> int:
    """How many findings wait for this reviewer."""
    return sum(unusual.open_by_kind(scope=reads.scope_of(actor_of(request))).values())


@require_safe
def trail(request: HttpRequest) -> HttpResponse:
    """``GET /audit/``: entries by time, actor, institution, action, basis, result and person, newest first."""
    actor = actor_of(request)
    scope = reads.require_scope(actor)
    form = TrailForm(request.GET)
    valid = form.is_valid()
    wanted = form.wanted() if valid else None
    try:
        found = (
            reads.search_trail(scope=scope, wanted=wanted, after=request.GET.get("after", ""))
            if wanted
            else None
        )
    except BadCursor as error:
        raise NotFound("There is no such page.") from error
    if wanted:
        _note_search(request, wanted)
    context: dict[str, object] = {
        "form": form,
        "wanted": wanted,
        "found": found,
        "rows": shown(found.entries) if found else [],
        "scope": scope,
        "actions": action_choices(),
        "bases": basis_choices(),
        "results": RESULTS,
        "query": _query(request),
        "open_findings": sum(unusual.open_by_kind(scope=scope).values()),
        "checked": ChainCheck.objects.first(),
        "anchors": [
            (anchor, bytes(anchor.hash).hex())
            for anchor in DailyAnchor.objects.order_by("-day")[:ANCHORS_SHOWN]
        ],
    }
    response = page(
        request, "sharing/audit/trail.html", context, fragment="sharing/audit/_rows.html"
    )
    response.status_code = 200 if valid else 422
    return response


@require_safe
def entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    """``GET /audit/entries/{id}/``: one entry with its place in the chain."""
    actor = actor_of(request)
    found = reads.get_entry(scope=reads.require_scope(actor), entry_id=entry_id)
    audit.record_view(actor, "audit.view", found, person_key=found.person_key)
    (row,) = shown([found])
    link = getattr(found, "link", None)
    context: dict[str, object] = {
        "row": row,
        "entry": found,
        "link": link,
        "hash": bytes(link.hash).hex() if link else "",
        "detail": sorted(found.detail.items()),
    }
    return page(request, "sharing/audit/entry.html", context)


@require_POST
def export(request: HttpRequest) -> HttpResponseBase:
    """``POST /audit/export.csv``: the answer to the search as a table."""
    actor = actor_of(request)
    scope = reads.require_scope(actor)
    form = TrailForm(request.POST)
    if not form.is_valid():
        return HttpResponse(
            _("A date is not of the form YYYY-MM-DD."),
            status=400,
            content_type="text/plain; charset=utf-8",
        )
    wanted = form.wanted()
    audit.record(
        actor,
        "audit.export",
        object_type="audit-trail",
        person_key=wanted.person_key,
        detail={"by": asked(wanted), "limit": EXPORT_LIMIT},
    )
    rows = reads.export_trail(scope=scope, wanted=wanted, limit=EXPORT_LIMIT)
    response = StreamingHttpResponse(_csv(rows), content_type="text/csv; charset=utf-8")
    name = f"audit-{timezone.localdate().isoformat()}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def shown(entries: list[AuditEntry]) -> list[dict[str, object]]:
    """Entries with the words of their actions and the names of their accounts as they are now."""
    names = reads.names_of([each.actor_id for each in entries])
    return [
        {
            "entry": each,
            "label": action_of(each.action).label,
            "actor": names.get(each.actor_id or 0, "") or each.actor_name,
            "result": dict(RESULTS).get(each.result, each.result),
        }
        for each in entries
    ]


def asked(wanted: TrailSearch) -> list[str]:
    """Which fields were asked by: what the audit of the audit says."""
    return [name for name in wanted.__dataclass_fields__ if getattr(wanted, name) not in ("", None)]


def _note_search(request: HttpRequest, wanted: TrailSearch) -> None:
    audit.record_view(
        actor_of(request),
        "audit.search",
        object_type="audit-trail",
        purpose="review",
        person_key=wanted.person_key,
        detail={"by": asked(wanted)},
    )


def _query(request: HttpRequest) -> str:
    """The search as it stands in links to further pages."""
    given = request.GET.copy()
    given.pop("after", None)
    return given.urlencode()


class _Line:
    """A file for csv.writer that hands each line on."""

    def write(self, line: str) -> str:
        return line


def _csv(rows: Iterator[AuditEntry]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield "\ufeff"  # spreadsheets take the file for UTF-8 only with it
    yield writer.writerow(
        [_("Entry"), _("Time"), _("Who"), _("Institution"), _("Action"), _("Object"), _("Study"),
         _("Pseudonym"), _("Basis"), _("Purpose"), _("Result"), _("Address"), _("Times")]
    )  # fmt: skip
    for each in rows:
        values = [
            each.pk, timezone.localtime(each.at).isoformat(timespec="seconds"), each.actor_name,
            each.actor_institution_name, each.action, f"{each.object_type} {each.object_id}".strip(),
            each.study_instance_uid, each.person_key, each.basis, each.purpose, each.result,
            each.address, each.count,
        ]  # fmt: skip
        yield writer.writerow([_cell(value) for value in values])


def _cell(value: object) -> str:
    """A value that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
