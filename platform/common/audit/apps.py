"""common.audit as a Django application."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.core.signals import request_finished


class AuditConfig(AppConfig):
    name = "common.audit"
    label = "audit"

    def ready(self) -> None:
        counts = import_module("common.audit.services").counts

        def carry_over(**_: Any) -> None:
            # Probes and scrapes come every few seconds, so a count never waits long for its next request.
            counts.carry_over_due()

        request_finished.connect(carry_over, weak=False, dispatch_uid="audit.carry_over")
