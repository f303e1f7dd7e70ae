"""Addresses of the pages for those who keep an institution's archive."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import panels, sections
from sharing.web import cases, charsets, keeping, scorecard

urlpatterns = [
    path("hospitals/<slug:code>/cases/", cases.cases, name="cases"),
    path("operations/cases/<int:case_id>/", cases.case, name="case"),
    path("operations/cases/<int:case_id>/resolve", cases.resolve, name="resolve"),
    path("hospitals/<slug:code>/scorecard/", scorecard.show, name="scorecard"),
    path("hospitals/<slug:code>/scorecard/export.csv", scorecard.export, name="scorecard-export"),
    path("hospitals/<slug:code>/names/", charsets.charsets, name="charsets"),
    path("hospitals/<slug:code>/names/start", charsets.start, name="charset-start"),
    path("operations/charsets/<int:repair_id>/undo", charsets.undo, name="charset-undo"),
    path("hospitals/<slug:code>/deletions/", keeping.deletions, name="deletions"),
    path("hospitals/<slug:code>/holds", keeping.hold, name="hold"),
    path("operations/deletions/<int:deletion_id>/undo", keeping.undelete, name="undelete"),
    path("operations/holds/<int:hold_id>/release", keeping.release, name="release"),
    path("studies/<slug:code>/<str:study_uid>/delete", keeping.delete, name="delete"),
]

for section in (
    sections.Section("sharing:scorecard", _("Scorecard"), order=40, visible=keeping.visible),
    sections.Section("sharing:charsets", _("Character sets"), order=50, visible=charsets.visible),
    sections.Section("sharing:cases", _("Quarantine cases"), order=60, visible=cases.visible),
    sections.Section(
        "sharing:deletions", _("Deletions and holds"), order=70, visible=keeping.visible
    ),
):
    sections.add(section)

panels.add(panels.Panel("study", "keeping", 90, "sharing/_study_keeping.html", keeping.study_panel))
