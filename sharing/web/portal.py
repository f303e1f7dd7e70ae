"""Saved searches of a reader: kept, dropped. They are run by the study list (``?saved=``)."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from common.ui.pages import actor_of
from common.ui.words import words
from sharing.errors import SavedSearchUnusable
from sharing.services import portal
from sharing.web.forms import StudySearchForm


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """``POST /studies/saved/``: keep the filters of the search in hand under a name."""
    form = StudySearchForm(request.POST)
    filters = form.asked() if form.is_valid() else {}
    try:
        saved = portal.save_search(
            actor=actor_of(request), name=request.POST.get("name", ""), filters=filters
        )
    except SavedSearchUnusable as error:
        messages.error(request, str(words(error.code).what))
        return redirect("sharing:studies")
    messages.success(request, _("The search is saved."))
    return redirect(f"{reverse('sharing:studies')}?saved={saved.pk}")


@require_POST
def delete(request: HttpRequest, search_id: int) -> HttpResponse:
    """``POST /studies/saved/{id}/delete``: drop a saved search of one's own."""
    portal.delete_search(actor=actor_of(request), search_id=search_id)
    messages.success(request, _("The saved search is deleted."))
    return redirect("sharing:studies")
