"""Pages of the data office."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation, panels
from sharing.web import audit, audit_patients, unusual

app_name = "audit"
urlpatterns = [
    path("", audit.trail, name="trail"),
    path("export.csv", audit.export, name="export"),
    path("entries/<int:entry_id>/", audit.entry, name="entry"),
    path("patients/", audit_patients.patients, name="patients"),
    path("patients/<str:key>/", audit_patients.patient, name="patient"),
    path("patients/<str:key>/print/", audit_patients.patient_sheet, name="sheet"),
    path("unusual/", unusual.unusual, name="unusual"),
    path("unusual/<int:finding_id>/", unusual.finding, name="finding"),
]

navigation.add(
    navigation.Entry(
        "audit:trail", _("Audit"), order=60, visible=audit.may_review, count=audit.waiting
    )
)
panels.add(
    panels.Panel(
        "patient", "audit", 90, "sharing/audit/_patient_panel.html", audit_patients.patient_panel
    )
)
panels.add(
    panels.Panel("home", "unusual", 20, "sharing/audit/_home_panel.html", unusual.home_panel)
)
