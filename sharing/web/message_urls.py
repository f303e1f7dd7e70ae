"""Routes of the pages of HL7 messages, and what messages add to other pages."""

from __future__ import annotations

from django.urls import path
from django.utils.translation import gettext_lazy as _

from common.ui import navigation, panels
from sharing.web import messages, orders

urlpatterns = [
    path("operations/messages/", messages.message_list, name="messages"),
    path("operations/messages/<int:message_id>/", messages.message, name="message"),
    path("operations/messages/<int:message_id>/content", messages.content, name="message-content"),
    path("operations/messages/<int:message_id>/replay", messages.replay, name="message-replay"),
]

navigation.add(
    navigation.Entry(
        "sharing:messages",
        _("HL7 messages"),
        order=41,
        visible=messages.may_see_messages,
        count=messages.waiting,
    )
)
panels.add(
    panels.Panel(
        "study", "order", 8, "sharing/_study_orders.html", orders.study_context, in_launch=True
    )
)
