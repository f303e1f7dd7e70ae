"""The URL map (DESIGN section 6). Every route is closed unless its view is marked public."""

from __future__ import annotations

import importlib.util
from typing import Any

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from config import docs, viewer


def _module(route: str, urls: str) -> list[Any]:
    """The routes of a module that is installed."""
    parent = urls.rpartition(".")[0]
    if importlib.util.find_spec(parent) is None or importlib.util.find_spec(urls) is None:
        return []
    return [path(route, include(urls))]


urlpatterns = [
    *_module("", "common.api.urls"),
    *_module("accounts/", "common.accounts.urls"),
    *_module("i18n/", "common.ui.urls"),
    *_module("dicom-web/", "sharing.dicomweb.urls"),
    *_module("hospitals/", "hospitals.urls"),
    *_module("api/v1/", "hospitals.api.urls"),
    *_module("", "sharing.urls"),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/v1/docs", docs.api_docs, name="api-docs"),
    path("viewer/", viewer.serve, name="viewer"),
    path("viewer/<path:path>", viewer.serve),
    path("admin/", admin.site.urls),
]
