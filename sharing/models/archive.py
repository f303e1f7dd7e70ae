"""What the archive holds and proved: revisions, certificates, and what it may not take in."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from sharing.models.index import Series, Study


class SeriesRevision(models.Model):
    """One sealed pack of a series with its documents. Never changed; a later one replaces it as current."""

    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    # Common prefix of the objects: {prefix}.zip, .metadata.json.gz, .index.json.gz (common.archive.keys)
    prefix = models.CharField(max_length=300, unique=True)
    instance_count = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()  # of the pack
    # common.archive.digest; of a pack whose index has version 1 the SHA-256 of the file
    pack_digest = models.CharField(max_length=64)
    stored_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["series", "number"], name="revision_number_once_per_series"
            ),
            models.CheckConstraint(
                condition=Q(instance_count__gte=1), name="revision_holds_an_instance"
            ),
        ]

    def __str__(self) -> str:
        return self.prefix


class Certificate(models.Model):
    """Completeness certificate: what the hospital listed and what was read back, at one instant."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="certificates")
    number = models.PositiveIntegerField()
    issued_at = models.DateTimeField()
    object_key = models.CharField(max_length=300, unique=True)
    sha256 = models.CharField(max_length=64)
    body = models.JSONField()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["study", "number"], name="certificate_number_once_per_study"
            )
        ]

    def __str__(self) -> str:
        return f"{self.study} #{self.number}"


class Quarantined(models.Model):
    """Bytes that were sent and may not enter the archive as they are, with the reason; a case to settle."""

    class Reason(models.TextChoices):
        NOT_DICOM = "not-dicom", _("Not a DICOM file")
        UNREADABLE = "unreadable", _("Header cannot be read")
        MISSING_UID = "missing-uid", _("A required UID is missing")
        BAD_UID = "bad-uid", _("A UID is not valid")
        WRONG_STUDY = "wrong-study", _("Belongs to another study or series than was asked for")
        CONFLICT = "conflict", _("Same UID, other bytes: the first stays")
        TRUNCATED = "truncated", _("Ends before its own length")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        SETTLED = "settled", _("Settled")

    class Resolution(models.TextChoices):
        """What was decided. Cases of an older release, and those that settle by themselves, have none."""

        KEPT = "kept", _("Ours was kept")
        TAKEN = "taken", _("Theirs was taken in as a new revision")
        REJECTED = "rejected", _("Not taken in")

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    study_instance_uid = models.CharField(max_length=64)  # as asked for
    series_instance_uid = models.CharField(max_length=64)  # as asked for; empty when unknown
    sop_instance_uid = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=16, choices=Reason)
    text = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    object_key = models.CharField(max_length=300)
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=150, blank=True, default="")
    settled_note = models.CharField(max_length=300, blank=True, default="")
    resolution = models.CharField(
        max_length=8, choices=Resolution, blank=True, default="", db_default=""
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="open", settled_at__isnull=True, settled_by="")
                | Q(state="settled", settled_at__isnull=False) & ~Q(settled_by=""),
                name="quarantined_settled_by_whom_and_when",
            ),
            models.UniqueConstraint(
                fields=[
                    "institution",
                    "study_instance_uid",
                    "series_instance_uid",
                    "sha256",
                    "reason",
                ],
                name="quarantined_once_per_request_and_bytes",
            ),
        ]
        indexes = [
            models.Index(fields=["institution", "state", "-last_at"], name="quarantined_open")
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.sha256[:12]}"
