"""An institution's own scorecard, on a page and as a table for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from common import audit
from common.ui.pages import actor_of, page
from common.ui.templatetags.ui import rate
from sharing.selectors.overview import figures_of
from sharing.selectors.scorecard import Month, scorecard, total
from sharing.web.keeping import kept_row, visible

__all__ = ["export", "show", "visible"]


@require_safe
def show(request: HttpRequest, code: str) -> HttpResponse:
    """``GET /hospitals/{code}/scorecard/``: twelve months, what each figure says, and how it is counted."""
    row = kept_row(request, code)
    months = scorecard(institution_id=row.institution_id, today=timezone.localdate())
    whole = total(months)
    lines = _lines()
    context: dict[str, object] = {
        "row": row,
        "figures": figures_of(row.institution_id),
        "lines": [(label, text(whole), hint) for label, text, hint in lines],
        "table": [
            (each.first, [text(each) for _label, text, _hint in lines]) for each in months[::-1]
        ],
        "chart": _chart(months),
        "any_study": bool(whole.studies),
    }
    return page(request, "sharing/scorecard.html", context)


@require_safe
def export(request: HttpRequest, code: str) -> HttpResponse:
    """``GET /hospitals/{code}/scorecard/export.csv``: the same months as plain numbers."""
    row = kept_row(request, code)
    months = scorecard(institution_id=row.institution_id, today=timezone.localdate())
    audit.record(
        actor_of(request), "scorecard.export", object_type="institution", object_id=code,
        institution_id=row.institution_id,
    )  # fmt: skip
    response = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    writer = csv.writer(response)
    writer.writerow([_("Month"), *(heading for heading, _value in _columns())])
    for each in months:
        writer.writerow(
            [f"{each.first:%Y-%m}", *(_plain(getattr(each, name)) for _head, name in _columns())]
        )
    response.headers["Content-Disposition"] = f'attachment; filename="scorecard-{code}.csv"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _columns() -> list[tuple[str, str]]:
    return [
        (_("Studies"), "studies"),
        (_("Retrievable"), "retrievable"),
        (_("Incomplete"), "incomplete"),
        (_("Indexed only"), "indexed"),
        (_("Found within 31 days"), "found_fresh"),
        (_("Found by the next day"), "found_next_day"),
        (_("Transfers"), "transfers"),
        (_("Failed transfers"), "failed"),
        (_("Bytes received"), "received_bytes"),
        (_("Seconds of transfer"), "seconds"),
        (_("Late instances"), "late"),
        (_("Quarantine cases"), "cases"),
        (_("Names not readable"), "unreadable_names"),
        (_("Probes"), "probes"),
        (_("Probes that reached it"), "reached"),
        (_("Mean answer, ms"), "answer_ms"),
    ]


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _lines() -> list[tuple[str, Callable[[Month], str], str]]:
    """What is shown: a label, the text of a month's figure, and how it is counted."""
    return [
        (
            _("Connection"),
            lambda m: _share(m.reached_share),
            _("Probes that reached the archive, of the newest hundred that are kept."),
        ),
        (
            _("Freshness"),
            lambda m: _share(m.next_day_share),
            _("Studies found on their day or the next, of those found within 31 days."),
        ),
        (
            _("Retrievable"),
            lambda m: _share(m.retrievable_share),
            _(
                "Studies read back and certified in the shared archive, of all that the hospital lists."
            ),
        ),
        (
            _("Completeness"),
            lambda m: _share(m.complete_share),
            _("Whole studies, of those of which something is here."),
        ),
        (
            _("Failed transfers"),
            lambda m: _share(m.failed_share),
            _("Series that were given up, of all that were tried."),
        ),
        (
            _("Answer time"),
            lambda m: _ms(m.answer_ms),
            _("Mean of the answers in the probes that are kept."),
        ),
        (
            _("Speed"),
            lambda m: rate(m.bytes_per_s) if m.bytes_per_s is not None else "",
            _("Bytes of transferred series over the time they took."),
        ),
        (
            _("Late instances"),
            lambda m: _count(m.late),
            _("Series that grew after they had been archived."),
        ),
        (
            _("Quarantine cases"),
            lambda m: _count(m.cases),
            _("Files that were sent and may not enter the archive."),
        ),
        (
            _("Names not readable"),
            lambda m: _count(m.unreadable_names) if m.studies else "",
            _("Patient names with characters that fit no character set."),
        ),
    ]


def _share(value: float | None) -> str:
    """In percent, 100 only when nothing is missing; empty where there is no figure."""
    if value is None:
        return ""
    shown = int(value * 1000) / 10
    return f"{number_format(shown, decimal_pos=1)} %"


def _ms(value: float | None) -> str:
    return f"{number_format(round(value), decimal_pos=0)} ms" if value is not None else ""


def _count(value: int) -> str:
    return number_format(value, decimal_pos=0, force_grouping=True)


def _chart(months: list[Month]) -> dict[str, Any]:
    return {
        "unit": _("Studies"),
        "labels": [f"{each.first:%Y-%m}" for each in months],
        "series": [
            {"name": _("Retrievable"), "values": [each.retrievable for each in months]},
            {"name": _("Not yet"), "values": [each.studies - each.retrievable for each in months]},
        ],
    }
