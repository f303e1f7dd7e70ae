"""Composition root as a Django application, for its management commands."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
