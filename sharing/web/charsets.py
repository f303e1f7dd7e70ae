"""Names that were read with the wrong character set: previewed, repaired in the background, put back."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from common.errors import DomainError, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import words
from hospitals import selectors as hospitals
from sharing.models import CharsetRepair
from sharing.selectors import links
from sharing.services import charset_repair
from sharing.web.keeping import say


def visible(request: HttpRequest, institution_id: int) -> bool:
    """Whether the tabs show the page: a preview shows names, so it is the institution's own administrator's."""
    return institution_id in links.keeper(actor_of(request)).institution_ids


@require_http_methods(["GET", "HEAD", "POST"])
def charsets(request: HttpRequest, code: str) -> HttpResponse:
    """``/hospitals/{code}/names/``: GET shows the repairs, POST previews one; htmx asks for the progress."""
    row = hospitals.get_health(actor=request.user, code=code)
    if not visible(request, row.institution_id):
        raise NotPermitted(_("Your roles do not allow this."))
    actor = actor_of(request)
    context: dict[str, object] = {"row": row, "character_sets": charset_repair.CHARACTER_SETS}
    if request.method == "POST":
        chosen = request.POST.get("character_set", "")[:32]
        context["chosen"] = chosen
        try:
            context["preview"] = charset_repair.preview(
                actor=actor, institution_id=row.institution_id, character_set=chosen
            )
        except NotPermitted:
            raise
        except DomainError as error:
            messages.error(request, str(words(error.code).what))
    found = charset_repair.repairs(actor=actor, institution_id=row.institution_id)
    context["repairs"] = found
    context["open"] = any(each.repair.state in CharsetRepair.OPEN for each in found)
    return page(request, "sharing/charsets.html", context, fragment="sharing/_charset_runs.html")


@require_POST
def start(request: HttpRequest, code: str) -> HttpResponse:
    """``POST /hospitals/{code}/names/start``: repair in the background."""
    row = hospitals.get_health(actor=request.user, code=code)
    if not visible(request, row.institution_id):
        raise NotPermitted(_("Your roles do not allow this."))
    say(
        request,
        lambda: charset_repair.start(
            actor=actor_of(request),
            institution_id=row.institution_id,
            character_set=request.POST.get("character_set", "")[:32],
        ),
        _("Begun: the names are read anew in the background."),
    )
    return redirect("sharing:charsets", code)


@require_POST
def undo(request: HttpRequest, repair_id: int) -> HttpResponse:
    """``POST /operations/charsets/{id}/undo``: read the names again as before."""
    actor = actor_of(request)
    repair = charset_repair.get_repair(actor=actor, repair_id=repair_id)
    say(
        request,
        lambda: charset_repair.undo(actor=actor, repair=repair),
        _("Being undone: the names are read as before."),
    )
    return redirect("sharing:charsets", repair.institution.code)
