"""common.ui as a Django application."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    name = "common.ui"
    label = "ui"
