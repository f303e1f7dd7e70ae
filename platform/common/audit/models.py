"""The audit trail: entries that nobody can change, and the chain that proves it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class AuditEntry(models.Model):
    """Who did what to which object, on what basis, for what purpose, with what result (policy S-d).

    Holds copies, not references: it must still read the same when the account or the institution is gone.
    Rows are only ever added; a trigger refuses the rest.
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor_kind = models.CharField(max_length=10)  # user, system, anonymous
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=200, blank=True)
    actor_institution_code = models.CharField(max_length=64, blank=True)
    actor_institution_name = models.CharField(max_length=200, blank=True)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64, blank=True)
    object_id = models.CharField(max_length=128, blank=True)
    institution_id = models.BigIntegerField(null=True)
    study_instance_uid = models.CharField(max_length=64, blank=True)
    basis = models.CharField(max_length=64, blank=True)
    purpose = models.CharField(max_length=200, blank=True)
    result = models.CharField(max_length=32)
    address = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    count = models.PositiveIntegerField(default=1)
    detail = models.JSONField(default=dict)
    # The patient's pseudonym as it was then: the key of a person, which says nothing of who it is (policy S-d).
    person_key = models.CharField(max_length=64, blank=True, default="", db_default="")

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["id"]
        indexes = [
            models.Index(fields=["actor_id", "at"], name="audit_by_actor"),
            models.Index(fields=["study_instance_uid", "at"], name="audit_by_study"),
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
            models.Index(
                fields=["person_key", "-at"], condition=~Q(person_key=""), name="audit_by_person"
            ),
            # What a reviewer narrows by, newest first.
            models.Index(fields=["action", "-at"], name="audit_by_action"),
            models.Index(fields=["institution_id", "-at"], name="audit_by_institution"),
            models.Index(fields=["actor_institution_code", "-at"], name="audit_by_workplace"),
            models.Index(
                fields=["result", "-at"], condition=~Q(result="success"), name="audit_by_fault"
            ),
            models.Index(
                fields=["basis", "-at"],
                condition=~Q(basis__in=["", "own-institution"]),
                name="audit_by_basis",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action}"


class PendingEntry(models.Model):
    """An entry that has no link yet; a trigger puts it here, the sequencer takes it away."""

    entry = models.OneToOneField(
        AuditEntry, on_delete=models.DO_NOTHING, primary_key=True, related_name="pending"
    )

    def __str__(self) -> str:
        return str(self.entry_id)


class ChainLink(models.Model):
    """One entry's place in the chain: SHA-256 over the previous hash and the entry's content."""

    sequence = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(AuditEntry, on_delete=models.DO_NOTHING, related_name="link")
    prev_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    class Meta:
        ordering = ["sequence"]

    def __str__(self) -> str:
        return f"{self.sequence}: {bytes(self.hash).hex()}"


class DailyAnchor(models.Model):
    """The chain's head at the end of a day: what is copied out, so that the chain cannot be rewritten whole."""

    day = models.DateField(primary_key=True)
    sequence = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)
    anchored_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.day}: {self.sequence} {bytes(self.hash).hex()}"


class RepeatedAccess(models.Model):
    """Reads of the same thing by the same actor for the same purpose, counted until they become one entry."""

    key = models.BinaryField(max_length=32, unique=True)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField()
    values = models.JSONField()

    class Meta:
        verbose_name_plural = "repeated accesses"

    def __str__(self) -> str:
        return f"{self.count} since {self.first_at:%H:%M:%S}"


class ChainCheck(models.Model):
    """What a run over the whole chain found: shown to those who rely on it. Rows are only ever added."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    links = models.BigIntegerField()
    anchors = models.PositiveIntegerField()
    stored_anchors = models.PositiveIntegerField()
    head = models.BinaryField(max_length=32)
    fault = models.CharField(max_length=300, blank=True, default="")
    duration_ms = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}: {self.fault or 'whole'}"


class SentPosition(models.Model):
    """The last link that went out to an audit record repository: one row for each that was ever set."""

    target = models.CharField(max_length=300, primary_key=True)
    sequence = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.target}: {self.sequence}"

    @classmethod
    def of(cls, target: str) -> SentPosition:
        """The locked row of a repository; a new one begins behind what is linked now."""
        last = ChainLink.objects.order_by("-sequence").values_list("sequence", flat=True).first()
        cls.objects.get_or_create(target=target[:300], defaults={"sequence": last or 0})
        return cls.objects.select_for_update(no_key=True).get(target=target[:300])
