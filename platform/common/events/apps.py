"""common.events as a Django application."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class EventsConfig(AppConfig):
    name = "common.events"
    label = "events"

    def ready(self) -> None:
        # Every process knows every handler: deliveries are written when an event is published.
        autodiscover_modules("handlers")
