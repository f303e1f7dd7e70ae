"""The index: studies and series as institutions hold them. Instances have no row (DESIGN section 3)."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Study(models.Model):
    """One examination as one institution holds it. The UID alone is not unique: the pair is."""

    class State(models.TextChoices):
        INDEXED = "indexed", _("Indexed only")  # known from the hospital's list; no bytes yet
        PULLING = "pulling", _("Being pulled")
        INCOMPLETE = "incomplete", _("Incomplete")  # some instances the hospital lists are not here
        ARCHIVED = "archived", _("Archived")  # proved: read back, counted, certified

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    study_instance_uid = models.CharField(max_length=64)
    patient_id = models.CharField(max_length=128, blank=True, default="")
    issuer_of_patient_id = models.CharField(max_length=128, blank=True, default="")
    patient_name = models.CharField(
        max_length=400, blank=True, default=""
    )  # PN, UTF-8, with = and ^
    name_grams = ArrayField(models.CharField(max_length=64), default=list)
    patient_birth_date = models.DateField(null=True)
    patient_sex = models.CharField(max_length=16, blank=True, default="")
    study_date = models.DateField(null=True)
    study_time = models.CharField(max_length=16, blank=True, default="")  # DICOM TM as sent
    accession_number = models.CharField(max_length=64, blank=True, default="")
    dicom_study_id = models.CharField(max_length=64, blank=True, default="")
    study_description = models.CharField(max_length=256, blank=True, default="")
    referring_physician_name = models.CharField(max_length=400, blank=True, default="")
    modalities = ArrayField(models.CharField(max_length=16), default=list)
    series_count = models.PositiveIntegerField(default=0)
    instance_count = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    # What the hospital lists; null where its answer did not say.
    listed_instances = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=16, choices=State, default=State.INDEXED)
    found_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)  # when the hospital's list was last compared
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "study_instance_uid"], name="study_once_per_institution"
            )
        ]
        indexes = [
            models.Index(fields=["study_instance_uid"], name="study_by_uid"),
            models.Index(fields=["patient_id", "-study_date"], name="study_by_patient"),
            models.Index(fields=["accession_number"], name="study_by_accession"),
            models.Index(
                F("study_date").desc(nulls_last=True), F("id").desc(), name="study_newest"
            ),
            models.Index(
                F("institution"),
                F("study_date").desc(nulls_last=True),
                F("id").desc(),
                name="study_newest_of_institution",
            ),
            GinIndex(fields=["name_grams"], name="study_by_name"),
            models.Index(
                fields=["institution", "state"],
                condition=~Q(state="archived"),
                name="study_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return self.study_instance_uid


class Series(models.Model):
    """One series of a study, and which revision of it is current."""

    class State(models.TextChoices):
        LISTED = "listed", _("Listed")
        STORED = "stored", _("Stored")  # a current revision exists; not yet read back
        INCOMPLETE = "incomplete", _("Incomplete")
        VERIFIED = "verified", _("Verified")  # read back and complete

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="series")
    series_instance_uid = models.CharField(max_length=64)
    modality = models.CharField(max_length=16, blank=True, default="")
    series_number = models.IntegerField(null=True)
    series_description = models.CharField(max_length=256, blank=True, default="")
    body_part_examined = models.CharField(max_length=64, blank=True, default="")
    series_date = models.DateField(null=True)
    series_time = models.CharField(max_length=16, blank=True, default="")
    instance_count = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    listed_instances = models.PositiveIntegerField(null=True)
    # What the archive was compared with: the hospital's list of UIDs, its count alone, or nothing.
    compared_by = models.CharField(max_length=8, blank=True, default="")
    state = models.CharField(max_length=16, choices=State, default=State.LISTED)
    current = models.ForeignKey(
        "SeriesRevision", null=True, on_delete=models.PROTECT, related_name="+"
    )
    # Number of the newest ReceivedInstance that no revision holds yet; 0 when all are packed (ADR 0012).
    newest_received = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "series_instance_uid"], name="series_once_per_study"
            )
        ]
        indexes = [models.Index(fields=["series_instance_uid"], name="series_by_uid")]

    @property
    def is_held(self) -> bool:
        """Whether instances of it can be read: packed, or received and not yet packed."""
        return bool(self.current_id or self.newest_received)

    def __str__(self) -> str:
        return self.series_instance_uid
