"""Reports found by their words. The question comes in a form's body: what a report says stands in no address."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from common import audit
from common.ui.pages import actor_of, page
from sharing.models import ReportVersion
from sharing.permissions import sight_of
from sharing.selectors import report_search as reads


class ReportSearchForm(forms.Form):
    """Every field but the words may be empty."""

    text = forms.CharField(label=_("Words"), max_length=200, required=False)
    since = forms.DateField(label=_("From"), required=False)
    until = forms.DateField(label=_("To"), required=False)
    status = forms.ChoiceField(
        label=_("State"), choices=[("", ""), *ReportVersion.Status.choices], required=False
    )
    institution_code = forms.CharField(label=_("Hospital"), max_length=64, required=False)
    page = forms.IntegerField(min_value=1, max_value=reads.DEEPEST_PAGE, required=False)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if since and until and since > until:
            self.add_error("until", _("The last day lies before the first."))
        if values.get("text") and not reads.ReportSearch(text=values["text"]).terms:
            self.add_error(
                "text", _("A single letter is found everywhere: write more of the word.")
            )
        return values

    def search(self) -> reads.ReportSearch:
        """The question; only after ``is_valid()``."""
        return reads.ReportSearch(**{name: v for name, v in self.cleaned_data.items() if v})

    def asked(self) -> dict[str, str]:
        """What was asked, to be sent again with another page; only after ``is_valid()``."""
        return {n: str(v) for n, v in self.cleaned_data.items() if v and n != "page"}


@require_http_methods(["GET", "HEAD", "POST"])
def report_list(request: HttpRequest) -> HttpResponse:
    """``/reports/``: the newest reports that hold all words, as far as the reader may see their studies."""
    form = ReportSearchForm(request.POST if request.method == "POST" else {})
    valid = form.is_valid()
    search = form.search() if valid else reads.ReportSearch()
    found = reads.search_reports(actor=actor_of(request), search=search) if search.terms else None
    if found is not None:
        audit.record_view(
            actor_of(request), "report.search", object_type="report-list", purpose="text"
        )
    context: dict[str, object] = {
        "form": form,
        "search": search,
        "found": found,
        "asked": form.asked() if valid else {},
        "statuses": ReportVersion.Status.choices,
    }
    answer = page(
        request, "sharing/report_list.html", context, fragment="sharing/_report_list.html"
    )
    answer.status_code = 200 if valid else 422
    return answer


def may_read(request: HttpRequest) -> bool:
    """Whether the navigation shows the search: whoever may see no study finds no report."""
    return sight_of(actor_of(request)).sees_something
