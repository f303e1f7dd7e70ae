"""Reasons for which a person's examinations may be seen beyond one's own institution and its consortium."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Encounter(models.Model):
    """A patient is being treated at an institution (care relationship): told by its HIS, or registered at the desk.

    It gives the institution's radiologists and clinicians sight of the person's examinations while it is open.
    """

    class Kind(models.TextChoices):
        OUTPATIENT = "outpatient", _("Outpatient")
        INPATIENT = "inpatient", _("Inpatient")
        EMERGENCY = "emergency", _("Emergency")

    class Source(models.TextChoices):
        HIS = "his", _("Told by the HIS")
        DESK = "desk", _("Registered at the desk")

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    patient = models.ForeignKey(
        "sharing.LocalPatient", on_delete=models.PROTECT, related_name="encounters"
    )
    visit_number = models.CharField(max_length=64)  # PV1-19; unique at the institution
    kind = models.CharField(max_length=12, choices=Kind)
    source = models.CharField(max_length=4, choices=Source)
    department = models.CharField(max_length=100, blank=True, default="")
    attending = models.CharField(max_length=100, blank=True, default="")
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()  # gives no sight after this, closed or not
    closed_at = models.DateTimeField(null=True)
    registered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "visit_number"], name="encounter_once_per_visit_number"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("opened_at")), name="encounter_ends_after_it_begins"
            ),
        ]
        indexes = [
            models.Index(
                fields=["institution", "expires_at"],
                condition=Q(closed_at__isnull=True),
                name="encounter_open",
            ),
            models.Index(fields=["patient", "-opened_at"], name="encounter_of_patient"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Consent(models.Model):
    """A person allows an institution, or one account, to see examinations: which ones, and until when."""

    class Given(models.TextChoices):
        PAPER = "paper", _("Signed on paper")
        DESK = "desk", _("Said at the desk")
        ELECTRONIC = "electronic", _("Given electronically")

    person = models.ForeignKey("sharing.Person", on_delete=models.PROTECT, related_name="consents")
    # The patient whose desk it was given at: a person may be linked otherwise later.
    patient = models.ForeignKey("sharing.LocalPatient", on_delete=models.PROTECT, related_name="+")
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )  # whose readers may see
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )  # or only this one of them
    # Scope; an empty list and null mean no narrowing.
    modalities = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    held_by = ArrayField(models.BigIntegerField(), default=list, blank=True)  # institution ids
    study_instance_uids = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    since = models.DateField(null=True)  # examinations from this day on
    given = models.CharField(max_length=12, choices=Given)
    given_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("given_at")), name="consent_ends_after_it_begins"
            )
        ]
        indexes = [
            models.Index(
                fields=["institution", "expires_at"],
                condition=Q(withdrawn_at__isnull=True),
                name="consent_in_force",
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class EmergencyAccess(models.Model):
    """Break-glass: one account sees one person's examinations for hours, gives a reason, and is reviewed."""

    class Verdict(models.TextChoices):
        JUSTIFIED = "justified", _("Justified")
        ABUSE = "abuse", _("Not justified")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    person = models.ForeignKey("sharing.Person", on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey("sharing.LocalPatient", on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    started_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    verdict = models.CharField(max_length=10, choices=Verdict, blank=True, default="")
    review_note = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("started_at")), name="emergency_ends_after_it_begins"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="emergency_access_has_a_reason"),
            models.CheckConstraint(
                condition=Q(reviewed_at__isnull=True, verdict="")
                | Q(reviewed_at__isnull=False) & ~Q(verdict=""),
                name="emergency_review_has_instant_and_verdict",
            ),
        ]
        indexes = [models.Index(fields=["user", "expires_at"], name="emergency_in_force")]

    def __str__(self) -> str:
        return str(self.pk)
