"""Diagnostic reports of examinations, in versions that are only ever added."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Report(models.Model):
    """One report (诊断报告) of an institution on one of its examinations, by the number that its sender gave it.

    It may come before its examination. The database joins them when the index row is written, and again when a deleted
    study comes back (migration 0012); ``study`` is null while it waits.
    """

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    number = models.CharField(max_length=128)  # of an object of the archive: its SOP Instance UID
    study = models.ForeignKey(
        "sharing.Study", null=True, on_delete=models.SET_NULL, related_name="reports"
    )
    study_instance_uid = models.CharField(max_length=64, blank=True, default="")
    accession_number = models.CharField(max_length=64, blank=True, default="")
    # As the sender says it; a study of another patient is never joined.
    patient_number = models.CharField(max_length=128, blank=True, default="")
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "number"], name="report_number_once_per_institution"
            ),
            models.CheckConstraint(
                condition=~Q(study_instance_uid="") | ~Q(accession_number=""),
                name="report_names_its_study",
            ),
        ]
        indexes = [
            models.Index(
                fields=["institution", "study_instance_uid"],
                condition=Q(study__isnull=True),
                name="report_waits_for_uid",
            ),
            models.Index(
                fields=["institution", "accession_number"],
                condition=Q(study__isnull=True),
                name="report_waits_for_accession",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class ReportVersion(models.Model):
    """What a report said at one time. Only ``is_current`` ever changes, and the database sees to it.

    ``digest`` is of the message as it was sent: the same message again is known by it.
    """

    class Status(models.TextChoices):
        PRELIMINARY = "preliminary", _("Preliminary")
        FINAL = "final", _("Final")
        AMENDED = "amended", _("Amended")
        CANCELLED = "cancelled", _("Cancelled")
        ENTERED_IN_ERROR = "entered-in-error", _("Entered in error")

    class Source(models.TextChoices):
        REST = "rest", "REST"
        FHIR = "fhir", "FHIR"
        HL7 = "hl7", "HL7 v2"
        SR = "sr", _("Structured report of the archive")
        PDF = "pdf", _("PDF of the archive")
        TYPED = "typed", _("Typed here")

    report = models.ForeignKey(
        Report, on_delete=models.PROTECT, related_name="versions", db_index=False
    )
    # That of the report, copied: a search walks the newest versions of each visible institution.
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    number = models.PositiveIntegerField()
    is_current = models.BooleanField()
    status = models.CharField(max_length=16, choices=Status)
    title = models.CharField(max_length=256, blank=True, default="")
    findings = models.TextField(blank=True, default="")  # 影像所见
    impression = models.TextField(blank=True, default="")  # 诊断意见
    author = models.CharField(max_length=400, blank=True, default="")
    verifier = models.CharField(max_length=400, blank=True, default="")
    reported_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True)
    sender_version = models.PositiveIntegerField(null=True)
    source = models.CharField(max_length=8, choices=Source)
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )  # null: the system, of an object of the archive or a message
    received_at = models.DateTimeField(default=timezone.now)
    digest = models.BinaryField(max_length=32)
    # The instance of the archive that it was taken of.
    document_series_uid = models.CharField(max_length=64, blank=True, default="")
    document_instance_uid = models.CharField(max_length=64, blank=True, default="")
    document_type = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ["report", "number"]
        constraints = [
            models.UniqueConstraint(fields=["report", "number"], name="report_version_once"),
            models.UniqueConstraint(
                fields=["report"], condition=Q(is_current=True), name="report_has_one_current"
            ),
        ]
        indexes = [
            models.Index(
                F("institution"),
                F("reported_at").desc(),
                F("id").desc(),
                condition=Q(is_current=True),
                name="report_newest_of_institution",
            ),
            # What is found is what a report says now.
            GinIndex(
                Func(
                    Func("title", "findings", "impression", function="sharing_report_text"),
                    function="sharing_grams",
                ),
                condition=Q(is_current=True),
                name="report_by_text",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.report_id}.{self.number}"

    @property
    def is_withdrawn(self) -> bool:
        """Whether its sender has taken it back."""
        return self.status in {self.Status.CANCELLED, self.Status.ENTERED_IN_ERROR}
