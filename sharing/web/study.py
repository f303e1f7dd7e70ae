"""One study: its page, its light viewer and what the viewer asks."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import get_script_prefix
from django.views.decorators.http import require_safe

from common import audit
from common.ui.pages import actor_of, page
from sharing import selectors
from sharing.permissions import decide, sight_of
from sharing.selectors import listing
from sharing.selectors.detail import study_detail
from sharing.selectors.overview import reach_of, run_by
from sharing.selectors.priors import list_priors
from sharing.selectors.reports import reports_beside
from sharing.selectors.slices import series_slices
from sharing.web.fetching import fetch_context

COMPARED = "@ohif/hpCompare"  # OHIF's own arrangement of two studies


@require_safe
def study(request: HttpRequest, code: str, study_uid: str) -> HttpResponse:
    """``GET /studies/{code}/{uid}/``: whole for those who may see it, else without its patient."""
    actor = actor_of(request)
    row = listing.get_study_row(actor=actor, institution_code=code, study_instance_uid=study_uid)
    found = row.study
    context: dict[str, object] = {
        "row": row,
        "study": found,
        "detail": study_detail(found),
        "viewer_installed": viewer_installed(),
        "shows_errors": reach_of(actor).covers(found.institution_id),
        "shows_keys": sight_of(actor).operation,
        "may_retry": run_by(actor).covers(found.institution_id),
    }
    if row.basis:
        context |= fetch_context(found)
    if not request.headers.get("HX-Request"):
        audit.record_view(actor, "study.view", found, basis=row.basis or "operation")
    return page(request, "sharing/study.html", context, fragment="sharing/_study_work.html")


@require_safe
def open_images(request: HttpRequest, code: str, study_uid: str) -> HttpResponse:
    """``GET /studies/{code}/{uid}/open/``: the viewer of this installation, from any list, in one click.

    ``beside`` names another study to be shown at its side, where the full viewer is installed.
    """
    actor = actor_of(request)
    study = selectors.get_visible_study(
        actor=actor, study_instance_uid=study_uid, institution_code=code
    )
    if viewer_installed():
        asked = {"StudyInstanceUIDs": study.study_instance_uid}
        if beside := request.GET.get("beside", ""):
            other = selectors.get_visible_study(actor=actor, study_instance_uid=beside)
            asked["StudyInstanceUIDs"] += f",{other.study_instance_uid}"
            asked["hangingProtocolId"] = COMPARED
        return redirect(f"{get_script_prefix()}viewer/viewer?{urlencode(asked, safe=',@/')}")
    first = study_detail(study).first_image_series
    if first is None:
        return redirect("sharing:study", code, study_uid)
    return redirect("sharing:view", code, study_uid, first.series_instance_uid)


@require_safe
def priors(request: HttpRequest, code: str, study_uid: str) -> HttpResponse:
    """``GET /studies/{code}/{uid}/priors/``: what else is known of the patient; part of the study's page."""
    actor = actor_of(request)
    study = selectors.get_visible_study(
        actor=actor, study_instance_uid=study_uid, institution_code=code
    )
    audit.record_view(
        actor, "study.search", object_type="study-list", object_id=code, purpose="patient"
    )
    context: dict[str, object] = {
        "study": study,
        "priors": list_priors(actor=actor, study=study),
        "viewer_installed": viewer_installed(),
    }
    return page(request, "sharing/priors.html", context, fragment="sharing/_priors.html")


@require_safe
def view_series(request: HttpRequest, code: str, study_uid: str, series_uid: str) -> HttpResponse:
    """``GET /studies/{code}/{uid}/view/{series}/``: the light viewer on one series (policy V1)."""
    actor = actor_of(request)
    series = selectors.get_visible_series(
        actor=actor,
        study_instance_uid=study_uid,
        series_instance_uid=series_uid,
        institution_code=code,
    )
    basis = decide(actor, series.study).basis
    audit.record_view(actor, "series.view", series.study, basis=basis or "")
    shown = study_detail(series.study).series
    context: dict[str, object] = {
        "series": series,
        "study": series.study,
        "all_series": shown,
        "viewer_keys": True,
        "report_state": reports_beside(actor, series.study),
    }
    return page(request, "sharing/viewer.html", context)


@require_safe
def slices(request: HttpRequest, code: str, study_uid: str, series_uid: str) -> JsonResponse:
    """``GET …/slices.json``: what the light viewer can show of a series, in order. No patient in it."""
    place = selectors.place_series(
        actor=actor_of(request),
        study_instance_uid=study_uid,
        series_instance_uid=series_uid,
        institution_code=code,
    )
    response = JsonResponse({"slices": series_slices(place)})
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def viewer_installed() -> bool:
    """Whether the full viewer was fetched; without it the light viewer opens."""
    return (Path(settings.DATA_DIR) / "viewer" / "index.html").is_file()
