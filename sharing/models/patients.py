"""Patients: the numbers that institutions give, and the persons that these numbers belong to."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Person(models.Model):
    """A natural person, as far as local patients were linked to one. Has no identity of its own.

    What a hospital registered stays with its local patient, so that an unlinked patient is as it was before.
    """

    key = models.CharField(max_length=16, unique=True)  # opaque; PatientID at the common root
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.key


class LocalPatient(models.Model):
    """One patient of one institution: number and issuer (PS3.3 C.2.2), and what was registered of them.

    A study without a patient's number is a patient of its own: ``alone`` is then its Study Instance UID. Encrypted
    columns are found by keyed hash (``common.privacy``); contexts and purposes are named after the columns.
    """

    class DocumentType(models.TextChoices):  # policy P3: no checksum, never forced
        PASSPORT = "passport", _("Passport")
        HMT_PERMIT = "hmt-permit", _("Permit of Hong Kong, Macau or Taiwan residents")
        BIRTH = "birth", _("Birth certificate")
        OTHER = "other", _("Other document")

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    issuer = models.CharField(max_length=128, blank=True, default="")
    number = models.CharField(max_length=128, blank=True, default="")
    alone = models.CharField(max_length=64, blank=True, default="")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="patients")
    name = models.CharField(max_length=400, blank=True, default="")  # PN, UTF-8, with = and ^
    name_grams = ArrayField(models.CharField(max_length=64), default=list)
    birth_date = models.DateField(null=True)
    sex = models.CharField(max_length=16, blank=True, default="")
    resident_id = models.BinaryField(null=True)  # policy P1, encrypted
    resident_id_hash = models.BinaryField(max_length=32, null=True)
    insurance_code = models.BinaryField(null=True)  # policy I3: issued by the insurance platform
    insurance_code_hash = models.BinaryField(max_length=32, null=True)
    document_type = models.CharField(max_length=16, choices=DocumentType, blank=True, default="")
    document = models.BinaryField(null=True)
    document_hash = models.BinaryField(max_length=32, null=True)
    card_hash = models.BinaryField(
        max_length=32, null=True
    )  # policy P4: the resolved token, not the QR
    phone = models.BinaryField(null=True)
    phone_hash = models.BinaryField(max_length=32, null=True)
    is_staff = models.BooleanField(default=False, db_default=False)  # somebody who works here
    registered_at = models.DateTimeField(
        null=True
    )  # by the HIS or at the desk; null: from studies only
    updated_at = models.DateTimeField(auto_now=True)
    compared_at = models.DateTimeField(null=True)  # with others, for candidates; null: to be

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "issuer", "number", "alone"],
                name="patient_number_once_per_institution_and_issuer",
            ),
            models.CheckConstraint(
                condition=Q(alone="") & ~Q(number="") | ~Q(alone="") & Q(number=""),
                name="patient_has_a_number_or_stands_alone",
            ),
        ]
        indexes = [
            models.Index(fields=["number"], name="patient_by_number"),
            models.Index(fields=["resident_id_hash"], name="patient_by_resident_id"),
            models.Index(fields=["insurance_code_hash"], name="patient_by_insurance_code"),
            models.Index(fields=["document_hash"], name="patient_by_document"),
            models.Index(fields=["card_hash"], name="patient_by_card"),
            models.Index(fields=["phone_hash"], name="patient_by_phone"),
            models.Index(fields=["birth_date", "sex"], name="patient_by_birth"),
            GinIndex(fields=["name_grams"], name="patient_by_name"),
            models.Index(
                fields=["id"], condition=Q(compared_at=None), name="patient_to_be_compared"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class LinkEvent(models.Model):
    """Merge history: one local patient moved from a person to another. Rows are only ever added (migration 0011).

    Joining two persons moves every local patient of the one: an event for each, which name the first as ``leader``.
    """

    class Kind(models.TextChoices):
        LINK = "link", _("Linked")
        UNLINK = "unlink", _("Unlinked")

    class Ground(models.TextChoices):
        RESIDENT_ID = "resident-id", _("Same resident ID")
        INSURANCE_CODE = "insurance-code", _("Same insurance person code")
        DOCUMENT = "document", _("Same document")
        REVIEW = "review", _("Reviewed candidates")
        CORRECTION = "correction", _("Correction")

    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=8, choices=Kind)
    patient = models.ForeignKey(LocalPatient, on_delete=models.PROTECT, related_name="links")
    from_person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    to_person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    ground = models.CharField(max_length=16, choices=Ground)
    reason = models.CharField(max_length=500, blank=True, default="")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )  # null: the system
    leader = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="followers"
    )  # the first event of the same decision; null: this is it
    undoes = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="undone_by"
    )

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["patient", "-at"], name="link_of_patient"),
            models.Index(fields=["from_person"], name="link_from_person"),
            models.Index(fields=["to_person"], name="link_to_person"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.patient_id}"


class LinkCandidate(models.Model):
    """Two local patients that may be one person: scored, and decided by a reader, never by the machine."""

    class State(models.TextChoices):
        OPEN = "open", _("To be reviewed")
        LINKED = "linked", _("Linked")
        REJECTED = "rejected", _("Not the same person")

    first = models.ForeignKey(LocalPatient, on_delete=models.CASCADE, related_name="+")
    second = models.ForeignKey(LocalPatient, on_delete=models.CASCADE, related_name="+")
    score = models.PositiveSmallIntegerField()  # 0 to 100
    grounds = models.JSONField(default=list)  # which facts agree or differ: words, no values
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    found_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="candidate_once_per_pair"),
            models.CheckConstraint(
                condition=Q(first__lt=F("second")), name="candidate_pair_is_in_order"
            ),
            models.CheckConstraint(
                condition=Q(decided_at__isnull=True, decided_by__isnull=True, state="open")
                | Q(decided_at__isnull=False) & ~Q(state="open"),
                name="candidate_is_decided_with_an_instant",
            ),
        ]
        indexes = [
            models.Index(
                F("score").desc(), F("id").asc(), condition=Q(state="open"), name="candidate_queue"
            )
        ]

    def __str__(self) -> str:
        return f"{self.first_id}/{self.second_id}: {self.score}"
