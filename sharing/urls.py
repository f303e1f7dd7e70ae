"""The pages of sharing, under the root."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("", include("sharing.web.urls"))]
