"""The language switch. Wired at the root without a namespace: Django's own name for it is used."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

from common.accounts.public import public

# Strangers too: the log-in page has the switch.
urlpatterns = [path("language/", public(set_language), name="set_language")]
