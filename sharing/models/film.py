"""Cloud film (policy S-c): a patient's slip with a code, and what a patient is told."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class FilmSlip(models.Model):
    """A link to some studies of one patient, for whoever holds its code and knows the second factor.

    The code (128 random bits) is on the printed slip or in the message and nowhere here: only its SHA-256.
    """

    class Kind(models.TextChoices):
        QR = "qr", _("Printed code")  # 90 days
        SMS = "sms", _("Link by message")  # 7 days

    digest = models.BinaryField(max_length=32, unique=True)
    kind = models.CharField(max_length=4, choices=Kind)
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )  # that issued it
    patient = models.ForeignKey(
        "sharing.LocalPatient", on_delete=models.PROTECT, related_name="slips"
    )
    studies = models.ManyToManyField("sharing.Study", through="FilmSlipStudy", related_name="+")
    second_factor = models.CharField(max_length=128)  # a password hash: the factor is short
    issued_at = models.DateTimeField(default=timezone.now)
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    wrong_tries = models.PositiveSmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True)
    openings = models.PositiveIntegerField(default=0)
    last_opened_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("issued_at")), name="slip_ends_after_it_begins"
            ),
            models.CheckConstraint(condition=~Q(second_factor=""), name="slip_has_a_second_factor"),
        ]
        indexes = [models.Index(fields=["patient", "-issued_at"], name="slip_of_patient")]

    def __str__(self) -> str:
        return str(self.pk)


class FilmSlipStudy(models.Model):
    """A study that a slip shows.

    Named without a constraint of the database: a deletion takes the index row away and an undo gives it back with its
    number (ADR 0016), so that the slip shows it again.
    """

    slip = models.ForeignKey(FilmSlip, on_delete=models.CASCADE, related_name="shown")
    study = models.ForeignKey(
        "sharing.Study", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slip", "study"], name="slip_shows_a_study_once")
        ]

    def __str__(self) -> str:
        return f"{self.slip_id} {self.study_id}"


class PatientNotice(models.Model):
    """What a patient is told, and whether that went out. The number stands with the patient, encrypted."""

    class Kind(models.TextChoices):
        EMERGENCY = "emergency", _("Emergency access")

    class State(models.TextChoices):
        SENT = "sent", _("Sent")
        NO_ADDRESS = "no-address", _("No phone is known")

    kind = models.CharField(max_length=12, choices=Kind)
    patient = models.ForeignKey("sharing.LocalPatient", on_delete=models.PROTECT, related_name="+")
    emergency = models.OneToOneField(
        "sharing.EmergencyAccess", null=True, on_delete=models.PROTECT, related_name="notice"
    )
    state = models.CharField(max_length=10, choices=State)
    channel = models.CharField(max_length=16)  # the notifier's name
    text = models.CharField(max_length=300)  # names nobody
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["patient", "-at"], name="notice_of_patient")]

    def __str__(self) -> str:
        return str(self.pk)
