"""What senders stored and what is not yet in a series' own pack; deletions and legal holds."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from sharing.models.index import Series


class IncomingPack(models.Model):
    """One object with the instances of one store request, until its series are packed (ADR 0015)."""

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    object_key = models.CharField(max_length=300, unique=True)
    size_bytes = models.PositiveBigIntegerField()
    stored_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["stored_at"], name="incoming_pack_by_age")]

    def __str__(self) -> str:
        return self.object_key


class ReceivedInstance(models.Model):
    """One instance that was stored by a sender: a row until its series is packed, and an hour more.

    The hour is for readers that were placed before: ``packed_at`` says since when the current revision
    holds it too.
    """

    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="received")
    pack = models.ForeignKey(IncomingPack, on_delete=models.CASCADE, related_name="instances")
    sop_instance_uid = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    entry = models.JSONField()  # as in the index document; offset in the incoming pack
    header = models.BinaryField()  # DICOM JSON of the instance, zlib
    stored_at = models.DateTimeField()
    packed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["series", "sop_instance_uid"], name="received_once_per_series"
            )
        ]
        indexes = [
            models.Index(
                fields=["series", "id"],
                condition=Q(packed_at__isnull=True),
                name="received_not_packed",
            ),
            models.Index(
                fields=["packed_at"],
                condition=Q(packed_at__isnull=False),
                name="received_and_packed",
            ),
        ]

    def __str__(self) -> str:
        return self.sop_instance_uid


class Deletion(models.Model):
    """Tombstone (删除标记) of a study: hidden since ``deleted_at``, purged after ``purge_after``."""

    class Reason(models.TextChoices):
        """The first four are IHE IOCM's (DCM 113001, 113037, 113038, 113039)."""

        QUALITY = "quality", _("Rejected for quality")
        SAFETY = "safety", _("Rejected for patient safety")
        WRONG_WORKLIST = "wrong-worklist", _("Wrong worklist entry or patient")
        RETENTION = "retention", _("Retention time has ended")
        DUPLICATE = "duplicate", _("Stored twice")
        PATIENT_REQUEST = "patient-request", _("Asked for by the patient")
        TEST = "test", _("Test data")

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    study_instance_uid = models.CharField(max_length=64)
    study_pk = models.BigIntegerField()  # the index row's number, so that an undo gives it back
    reason = models.CharField(max_length=20, choices=Reason)
    deleted_by = models.CharField(max_length=150)
    deleted_at = models.DateTimeField()
    purge_after = models.DateTimeField()
    instance_count = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    kept_at = models.DateTimeField(null=True)  # when the bucket was told
    purged_at = models.DateTimeField(null=True)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "study_instance_uid"],
                condition=Q(lifted_at__isnull=True),
                name="deletion_one_in_force_per_study",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by="")
                | Q(lifted_at__isnull=False) & ~Q(lifted_by=""),
                name="deletion_lifted_by_whom_and_when",
            ),
        ]
        indexes = [
            models.Index(
                fields=["purge_after"],
                condition=Q(purged_at__isnull=True, lifted_at__isnull=True),
                name="deletion_to_purge",
            )
        ]

    def __str__(self) -> str:
        return f"{self.institution_id} {self.reason}"


class LegalHold(models.Model):
    """A study that may not be deleted or purged (法律保全), whether or not it is here already."""

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    study_instance_uid = models.CharField(max_length=64)
    reference = models.CharField(max_length=100)  # the case's file number; never a patient's name
    set_by = models.CharField(max_length=150)
    set_at = models.DateTimeField()
    released_by = models.CharField(max_length=150, blank=True, default="")
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "study_instance_uid"],
                condition=Q(released_at__isnull=True),
                name="legal_hold_one_in_force_per_study",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, released_by="")
                | Q(released_at__isnull=False) & ~Q(released_by=""),
                name="legal_hold_released_by_whom_and_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution_id} {self.reference}"
