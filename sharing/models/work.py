"""The work of finding and copying: one row for each series to copy and each window to search."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from sharing.models.index import Series


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
