"""Composition root as a Django application: its commands, and the start of background work."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """Every process that runs Django can enqueue; the scheduler knows all periodic jobs."""
        from common.jobs import beat_schedule
        from config import checks  # noqa: F401 - importing registers them
        from config.celery import app

        autodiscover_modules("jobs", "handlers")
        app.conf.beat_schedule = beat_schedule()
