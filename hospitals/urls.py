"""The pages of hospitals, under ``/hospitals/``."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("", include("hospitals.web.urls"))]
