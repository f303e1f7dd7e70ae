"""Orders of examinations, as the order-entry system of an institution announces them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Order(models.Model):
    """What was ordered, for whom, under which accession number: known before there is a picture.

    A study joins its order by accession number, or by UID where the order names it, at the same institution: by
    looking, not by a key, so that neither has to come first.
    """

    class State(models.TextChoices):
        ORDERED = "ordered", _("Ordered")
        CANCELLED = "cancelled", _("Cancelled")
        COMPLETED = "completed", _("Completed")

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    patient = models.ForeignKey(
        "sharing.LocalPatient", on_delete=models.PROTECT, related_name="orders"
    )
    encounter = models.ForeignKey(
        "sharing.Encounter", null=True, on_delete=models.SET_NULL, related_name="orders"
    )
    placer_number = models.CharField(max_length=75)  # ORC-2: of the order-entry system
    filler_number = models.CharField(max_length=75, blank=True, default="")  # ORC-3: of the RIS
    accession_number = models.CharField(max_length=64, blank=True, default="")
    study_instance_uid = models.CharField(max_length=64, blank=True, default="")
    procedure_code = models.CharField(max_length=64, blank=True, default="")
    procedure_name = models.CharField(max_length=200, blank=True, default="")
    modality = models.CharField(max_length=16, blank=True, default="")
    reason = models.CharField(max_length=400, blank=True, default="")  # OBR-31, OBR-13
    priority = models.CharField(max_length=16, blank=True, default="")
    ordered_by = models.CharField(max_length=100, blank=True, default="")
    ordered_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.ORDERED)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "placer_number"],
                name="order_once_per_institution",
            ),
        ]
        indexes = [
            models.Index(
                fields=["institution", "accession_number"],
                condition=~Q(accession_number=""),
                name="order_by_accession_number",
            ),
            models.Index(
                fields=["institution", "filler_number"],
                condition=~Q(filler_number=""),
                name="order_by_filler_number",
            ),
            models.Index(
                fields=["institution", "study_instance_uid"],
                condition=~Q(study_instance_uid=""),
                name="order_by_study",
            ),
            models.Index(fields=["patient", "-id"], name="order_of_patient"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
