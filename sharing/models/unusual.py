"""Unusual access: what a person of the data office is asked to look at."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AccessFinding(models.Model):
    """One access, or a row of them, that is unusual. Found once; decided by a reviewer, never by the machine."""

    class Kind(models.TextChoices):
        EMERGENCY = "emergency", _("Emergency access")
        MANY_PATIENTS = "many-patients", _("Many patients in a short time")
        FAMILY_NAME = "family-name", _("Own family name")
        STAFF_RECORD = "staff-record", _("Record of somebody who works there")
        ODD_HOURS = "odd-hours", _("At an unusual hour")
        OWN_GROUND = "own-ground", _("By an encounter or a consent that the reader registered")

    class State(models.TextChoices):
        OPEN = "open", _("To be reviewed")
        JUSTIFIED = "justified", _("Justified")
        ABUSE = "abuse", _("Not justified")

    kind = models.CharField(max_length=16, choices=Kind)
    # What makes it the same finding again: account, person and day, or the emergency access.
    subject = models.CharField(max_length=100)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    actor_institution_code = models.CharField(max_length=64, blank=True, default="")
    actor_institution_name = models.CharField(max_length=200, blank=True, default="")
    person_key = models.CharField(
        max_length=64, blank=True, default=""
    )  # of one person; else empty
    institution_ids = ArrayField(models.BigIntegerField(), default=list)  # whose studies were seen
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)  # looks, or patients where many are the point
    bases = ArrayField(models.CharField(max_length=64), default=list)
    emergency = models.OneToOneField(
        "sharing.EmergencyAccess", null=True, on_delete=models.PROTECT, related_name="finding"
    )
    found_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject"], name="finding_once_per_subject"),
            models.CheckConstraint(
                condition=Q(state="open", reviewed_at__isnull=True, reviewed_by__isnull=True)
                | Q(reviewed_at__isnull=False, reviewed_by__isnull=False) & ~Q(state="open"),
                name="finding_is_decided_by_somebody",
            ),
        ]
        indexes = [
            models.Index(F("last_at").desc(), F("id").desc(), name="finding_newest"),
            models.Index(
                fields=["actor_institution_code"],
                condition=Q(state="open"),
                name="finding_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class ReviewPosition(models.Model):
    """How far the search for unusual access has read the chain: one row."""

    name = models.CharField(max_length=16, primary_key=True)
    sequence = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.sequence}"
