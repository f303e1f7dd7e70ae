"""Repairs of texts that were decoded with the wrong character set, institution by institution."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class CharsetRepair(models.Model):
    """One run over what an institution holds. Stored bytes never change; documents and index rows are made anew."""

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        UNDOING = "undoing", _("Being undone")
        UNDONE = "undone", _("Undone")

    OPEN = (State.RUNNING, State.UNDOING)

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    character_set = models.CharField(max_length=32)
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["institution"],
                condition=Q(state__in=["running", "undoing"]),
                name="charset_repair_one_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class CharsetRepairItem(models.Model):
    """One study of a repair, and what it takes to put it back."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Repaired")
        UNCHANGED = "same", _("Nothing to repair")
        FAILED = "failed", _("Failed")
        UNDONE = "undone", _("Undone")

    repair = models.ForeignKey(CharsetRepair, on_delete=models.CASCADE, related_name="items")
    study = models.ForeignKey("sharing.Study", on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    # Character set of each series before, by id; columns of a study that is known from a list alone, before and after.
    former = models.JSONField(default=dict)
    error_code = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repair", "study"], name="charset_item_once_per_study")
        ]
        indexes = [models.Index(fields=["repair", "state", "id"], name="charset_item_by_state")]

    def __str__(self) -> str:
        return str(self.pk)
