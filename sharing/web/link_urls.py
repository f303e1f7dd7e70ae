"""Addresses of the pages about patients that may be one person."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation
from sharing.web import linking

urlpatterns = [
    path("link-review/", linking.link_review, name="link-review"),
    path("link-review/history/", linking.link_history, name="link-history"),
    path("link-review/history/<int:event_id>/undo", linking.link_undo, name="link-undo"),
    path("link-review/<int:candidate_id>/", linking.link_pair, name="link-pair"),
    path("link-review/<int:candidate_id>/decide", linking.link_decide, name="link-decide"),
]

navigation.add(
    navigation.Entry(
        "sharing:link-review",
        _("Same person?"),
        order=37,
        visible=linking.may_review,
        count=linking.count_waiting,
    )
)
