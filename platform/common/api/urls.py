"""Addresses for operators."""

from __future__ import annotations

from django.urls import path

from common.api import operation

urlpatterns = [
    path("healthz", operation.healthz, name="healthz"),
    path("readyz", operation.readyz, name="readyz"),
    path("metrics", operation.metrics_view, name="metrics"),
]
