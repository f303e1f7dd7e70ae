"""The URL map (DESIGN section 6). Every route is closed unless its view is marked public."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from config import administration, docs, viewer

handler400 = "config.faults.bad_request"
handler404 = "config.faults.not_found"
handler500 = "config.faults.server_error"

api_v1: list[URLPattern | URLResolver] = [
    path("schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs", docs.api_docs, name="api-docs"),
    path("", include("hospitals.api.urls")),
    path("", include("sharing.api.urls")),
]

urlpatterns = [
    path("dicom-web/", include("sharing.dicomweb.urls")),
    path("", include("common.api.urls")),  # healthz, readyz, metrics
    path("accounts/", include("common.accounts.urls")),
    path("i18n/", include("common.ui.urls")),
    path("fhir/", include("config.fhir")),
    path("audit/", include("sharing.web.audit_urls")),
    path("", include("hospitals.urls")),
    path("api/v1/", include(api_v1)),
    path("viewer/", viewer.serve, name="viewer"),
    path("viewer/<path:path>", viewer.serve, name="viewer-file"),
    path("admin/login/", administration.login, name="admin-login"),
    path("admin/", admin.site.urls),
    path("", include("sharing.urls")),
]
