"""The outbox: what a module announces, written with what it announces, and who has heard it."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class OutboxEvent(models.Model):
    """One announced event."""

    event_id = models.UUIDField(unique=True, default=uuid.uuid4)
    type = models.CharField(max_length=128)
    key = models.CharField(max_length=128)
    payload = models.JSONField()
    occurred_at = models.DateTimeField(default=timezone.now)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.type} {self.key}"


class Delivery(models.Model):
    """One handler's copy of an event."""

    class State(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        PARKED = (
            "parked"  # failed too often; holds back later events of its key until a person decides
        )
        DISCARDED = "discarded"

    event = models.ForeignKey(OutboxEvent, on_delete=models.CASCADE, related_name="deliveries")
    handler = models.CharField(max_length=200)
    key = models.CharField(max_length=128)  # the event's, copied for the order
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(
        default=timezone.now
    )  # next attempt, or end of the lease of the running one
    done_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["event", "handler"], name="delivery_once_per_handler"),
            models.CheckConstraint(
                condition=models.Q(state__in=["pending", "done", "parked", "discarded"]),
                name="delivery_state_is_known",
            ),
        ]
        indexes = [
            models.Index(
                fields=["handler", "key", "id"],
                condition=models.Q(state__in=["pending", "parked"]),
                name="delivery_open_by_key",
            ),
            models.Index(
                fields=["id"], condition=models.Q(state="pending"), name="delivery_pending"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.handler} {self.state}"
