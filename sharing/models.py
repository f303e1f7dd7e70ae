"""The index, the shared archive's revisions, and the work of pulling.

Instances have no row: their facts live in the documents beside each pack (DESIGN section 3).
"""

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

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "series_instance_uid"], name="series_once_per_study"
            )
        ]
        indexes = [models.Index(fields=["series_instance_uid"], name="series_by_uid")]

    def __str__(self) -> str:
        return self.series_instance_uid


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


class Transfer(models.Model):
    """The copy of one series into the shared archive: the row is the truth, a message only a wake-up."""

    class Lane(models.IntegerChoices):
        ON_DEMAND = 0, _("On demand")
        TODAY = 1, _("Today")
        BACKFILL = 2, _("Backfill")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        HANDED = "handed", _("Handed to a worker")  # a message was sent; nobody has claimed it yet
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")  # gave up; a person or the next discovery asks again

    OPEN = ("waiting", "handed", "running")

    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="transfers")
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    lane = models.PositiveSmallIntegerField(choices=Lane, default=Lane.BACKFILL)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    again = models.BooleanField(default=False)  # compare every instance, those already here too
    generation = models.PositiveIntegerField(
        default=0
    )  # grows with each claim; a stale worker is refused
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=128, blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField()
    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=150, blank=True, default="")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    received_instances = models.PositiveIntegerField(default=0)
    received_bytes = models.PositiveBigIntegerField(default=0)
    expected_instances = models.PositiveIntegerField(null=True)
    quarantined = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_text = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["series"],
                condition=Q(state__in=["waiting", "handed", "running"]),
                name="transfer_one_open_per_series",
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False),
                name="transfer_running_has_a_lease",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane", "not_before", "id"],
                condition=Q(state="waiting"),
                name="transfer_waiting",
            ),
            models.Index(
                fields=["institution", "state"],
                condition=Q(state__in=["waiting", "handed", "running"]),
                name="transfer_open_of_institution",
            ),
            models.Index(fields=["institution", "-finished_at"], name="transfer_finished"),
            models.Index(
                fields=["institution", "-finished_at"],
                condition=Q(state="failed"),
                name="transfer_failed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.series} {self.state}"


class DiscoveryWindow(models.Model):
    """Cursor of discovery: one window of study dates at one institution, and how far its paging got.

    Without dates the window is everything that the hospital lists, undated studies included.
    """

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    since = models.DateField(null=True)
    until = models.DateField(null=True)  # inclusive, as DICOM date ranges are
    offset = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    index_only = models.BooleanField(default=False)  # write the index, copy nothing yet
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    lane = models.PositiveSmallIntegerField(choices=Transfer.Lane, default=Transfer.Lane.BACKFILL)
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_text = models.CharField(max_length=500, blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "since", "until"],
                nulls_distinct=False,
                name="window_once_per_institution",
            ),
            models.CheckConstraint(
                condition=Q(since__isnull=True, until__isnull=True) | Q(until__gte=F("since")),
                name="window_is_whole_and_does_not_end_before_it_starts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution_id} {self.since}..{self.until}"
