"""Signed launches: an order-entry system opens one patient's time line for a clinician who works in it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class LaunchSystem(models.Model):
    """An order-entry system that may launch, and the pages that may hold what it opened in a frame."""

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    account = models.OneToOneField(  # asks by token; an integrator of the institution
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    key_id = models.CharField(max_length=32, unique=True)  # names the secret in a signed form
    secret = models.BinaryField(null=True, editable=False)  # encrypted; null: by token only
    origins = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    term_minutes = models.PositiveSmallIntegerField(default=30)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(term_minutes__gte=1, term_minutes__lte=120),
                name="launch_term_is_short",
            ),
        ]

    def __str__(self) -> str:
        return self.key_id


class Launch(models.Model):
    """One launch: asked for, opened at most once, and then a session that sees one person until it ends.

    Code and session are kept as SHA-256; neither can be read here.
    """

    system = models.ForeignKey(LaunchSystem, on_delete=models.PROTECT, related_name="launches")
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    # The reason why: the patient is being treated here. Ends with it.
    encounter = models.ForeignKey("sharing.Encounter", on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey("sharing.LocalPatient", on_delete=models.PROTECT, related_name="+")
    # In whose name is looked: an account that can log in nowhere, one for each clinician of a system.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=200)
    nonce = models.CharField(max_length=64, blank=True, default="")  # of a signed form: used once
    code = models.BinaryField(max_length=32, null=True, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    open_before = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    session = models.BinaryField(max_length=32, null=True, unique=True)
    expires_at = models.DateTimeField()  # of the session, at the latest
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="launch_ends_after_it_begins"
            ),
            models.UniqueConstraint(
                fields=["system", "nonce"],
                condition=~Q(nonce=""),
                name="launch_nonce_is_used_once",
            ),
            models.CheckConstraint(
                condition=Q(opened_at__isnull=True, session__isnull=True)
                | Q(opened_at__isnull=False, session__isnull=False),
                name="launch_opened_has_its_session",
            ),
        ]
        indexes = [models.Index(fields=["institution", "-id"], name="launch_newest")]

    def __str__(self) -> str:
        return str(self.pk)
