"""Addresses of the desk and of emergency access."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation, panels
from sharing.web import desk, emergency

urlpatterns = [
    path("desk/", desk.desk, name="desk"),
    path("desk/encounters", desk.open_encounter, name="desk-encounter"),
    path("desk/encounters/<int:encounter_id>/close", desk.close_encounter, name="desk-close"),
    path("desk/consents", desk.give_consent, name="desk-consent"),
    path("desk/consents/<int:consent_id>/withdraw", desk.withdraw_consent, name="desk-withdraw"),
    path("emergency/<int:access_id>/end", emergency.end, name="emergency-end"),
    path("emergency/<str:key>/", emergency.emergency, name="emergency"),
]

navigation.add(navigation.Entry("sharing:desk", _("Desk"), order=34, visible=desk.may_sit))
panels.add(
    panels.Panel("home", "emergency", 5, "sharing/_home_emergency.html", emergency.home_context)
)
panels.add(
    panels.Panel("patient", "access", 5, "sharing/_patient_access.html", emergency.patient_context)
)
