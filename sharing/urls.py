"""The pages of sharing, and WADO-URI, under the root."""

from __future__ import annotations

from django.urls import include, path

from sharing.dicomweb.wado_uri import WadoUriView

urlpatterns = [
    path("wado", WadoUriView.as_view(), name="wado-uri"),
    path("", include("sharing.web.urls")),
]
