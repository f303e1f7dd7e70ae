"""The pages of hospitals, and of the people and systems that work there."""

from __future__ import annotations

from django.urls import include, path

app_name = "hospitals"
urlpatterns = [
    path("hospitals/", include("hospitals.web.urls")),
    path("people/", include("hospitals.web.people_urls")),
]
