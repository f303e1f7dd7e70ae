"""The index: studies and series as institutions hold them. Instances have no row (DESIGN section 3)."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

_NO_FACTS = Value({}, models.JSONField())
_NO_ITEMS = Value([], models.JSONField())


class Study(models.Model):
    """One examination as one institution holds it. The UID alone is not unique: the pair is.

    ``shared`` is the database's own (migration 0005): it becomes true when a second institution holds the same
    UID, and stays so. A search asks for other copies of such rows only.
    """

    class State(models.TextChoices):
        INDEXED = "indexed", _("Indexed only")  # known from the hospital's list; no bytes yet
        PULLING = "pulling", _("Being pulled")
        INCOMPLETE = "incomplete", _("Incomplete")  # some instances the hospital lists are not here
        ARCHIVED = "archived", _("Archived")  # proved: read back, counted, certified

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    study_instance_uid = models.CharField(max_length=64)
    # Null only in rows of an older release that were not yet filled in.
    local_patient = models.ForeignKey(
        "sharing.LocalPatient",
        null=True,
        on_delete=models.PROTECT,
        related_name="studies",
        db_index=False,
    )
    # That of the patient, copied: searches and the access decision read it for every row.
    person = models.ForeignKey(
        "sharing.Person",
        null=True,
        on_delete=models.PROTECT,
        related_name="studies",
        db_index=False,
    )
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
    shared = models.BooleanField(default=False, db_default=False, editable=False)
    # Further attributes that a search may ask for: values of the DICOM JSON model by tag.
    more = models.JSONField(default=dict, db_default=_NO_FACTS, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "study_instance_uid"], name="study_once_per_institution"
            )
        ]
        indexes = [
            models.Index(fields=["study_instance_uid"], name="study_by_uid"),
            # These operator classes serve "P*" beside equality, whatever the collation.
            models.Index(
                fields=["patient_id"], opclasses=["varchar_pattern_ops"], name="study_by_patient_id"
            ),
            models.Index(
                fields=["accession_number"],
                opclasses=["varchar_pattern_ops"],
                name="study_by_accession_no",
            ),
            models.Index(
                fields=["dicom_study_id"],
                opclasses=["varchar_pattern_ops"],
                name="study_by_study_id",
            ),
            models.Index(
                F("study_date").desc(nulls_last=True), F("id").desc(), name="study_newest"
            ),
            models.Index(
                F("institution"),
                F("study_date").desc(nulls_last=True),
                F("id").desc(),
                name="study_newest_of_institution",
            ),
            models.Index(fields=["local_patient"], name="study_by_local_patient"),
            models.Index(
                F("person"),
                F("study_date").desc(nulls_last=True),
                F("id").desc(),
                name="study_newest_of_person",
            ),
            GinIndex(fields=["name_grams"], name="study_by_name"),
            # "*chest*" anywhere in these, and the modalities (sharing.dicomweb.matching).
            GinIndex(
                Func("patient_name", function="sharing_grams"),
                Func("patient_id", function="sharing_grams"),
                Func("accession_number", function="sharing_grams"),
                Func("study_description", function="sharing_grams"),
                Func("referring_physician_name", function="sharing_grams"),
                F("modalities"),
                name="study_by_text",
            ),
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
    performed_date = models.DateField(null=True)  # Performed Procedure Step Start Date
    performed_time = models.CharField(max_length=16, blank=True, default="", db_default="")
    # Request Attributes Sequence: one object for each item, texts by tag.
    request_attributes = models.JSONField(default=list, db_default=_NO_ITEMS, blank=True)
    more = models.JSONField(default=dict, db_default=_NO_FACTS, blank=True)  # as that of the study
    instance_count = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    listed_instances = models.PositiveIntegerField(null=True)
    # What the archive was compared with: the hospital's list of UIDs, its count alone, or nothing.
    compared_by = models.CharField(max_length=8, blank=True, default="")
    state = models.CharField(max_length=16, choices=State, default=State.LISTED)
    current = models.ForeignKey(
        "SeriesRevision", null=True, on_delete=models.PROTECT, related_name="+"
    )
    # Number of the newest ReceivedInstance that no revision holds yet; 0 when all are packed (ADR 0015).
    newest_received = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "series_instance_uid"], name="series_once_per_study"
            )
        ]
        indexes = [
            models.Index(fields=["series_instance_uid"], name="series_by_uid"),
            models.Index(fields=["modality"], name="series_by_modality"),
            models.Index(fields=["performed_date"], name="series_by_performed_date"),
            GinIndex(
                fields=["request_attributes"],
                opclasses=["jsonb_path_ops"],
                condition=~Q(request_attributes=[]),
                name="series_by_request",
            ),
            GinIndex(Func("series_description", function="sharing_grams"), name="series_by_text"),
        ]

    def __str__(self) -> str:
        return self.series_instance_uid

    @property
    def is_held(self) -> bool:
        """Whether instances of it can be read: packed, or received and not yet packed."""
        return bool(self.current_id or self.newest_received)
