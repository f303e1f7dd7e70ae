"""Delivery of events."""

from __future__ import annotations

from common.events import services
from common.events.jobs import DELIVER


@DELIVER.implement()
def deliver() -> None:
    if services.deliver_due():
        DELIVER.enqueue()  # its time was up before the work was
