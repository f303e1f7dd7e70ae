"""Routes of launches."""

from __future__ import annotations

from django.urls import path

from sharing.web import launching

urlpatterns = [
    path("launch/signed/", launching.SignedLaunch.as_view(), name="launch-signed"),
    path("launch/end/", launching.end, name="launch-end"),
    path("launch/ready/<slug:code>/", launching.ready, name="launch-ready"),
    path("launch/<str:code>/", launching.launch, name="launch"),
]
