"""Addresses of the remote consultations."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation, panels
from sharing.web import consult_steps as steps
from sharing.web import consulting

urlpatterns = [
    path("consultations/", consulting.consultations, name="consultations"),
    path("consultations/new/", consulting.consult_new, name="consult-new"),
    path("consultations/<int:consultation_id>/", consulting.consultation, name="consultation"),
    path(
        "consultations/<int:consultation_id>/print/",
        consulting.consult_print,
        name="consult-print",
    ),
    *(
        path(f"consultations/<int:consultation_id>/{verb}", view, name=f"consult-{verb}")
        for verb, view in (
            ("accept", steps.accept),
            ("decline", steps.decline),
            ("forward", steps.forward),
            ("write", steps.write),
            ("attach", steps.attach),
            ("sign", steps.sign),
            ("close", steps.close),
            ("withdraw", steps.withdraw),
        )
    ),
]

navigation.add(
    navigation.Entry(
        "sharing:consultations",
        _("Consultations"),
        order=35,
        visible=consulting.may_take_part,
        count=consulting.count_waiting,
    )
)

panels.add(
    panels.Panel("study", "consult", 40, "sharing/_study_consult.html", consulting.study_panel)
)
