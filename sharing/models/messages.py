"""HL7 messages that hospitals send: from whom they are taken, and every one of them as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


# Table 0357 in words; the text beside them, which is also the sender's, names the field in English.
CONDITIONS = {
    "100": _("Segments are missing, too many or in the wrong place"),
    "101": _("A field that is needed is empty"),
    "102": _("A field has not the form that it must have"),
    "103": _("A code is in no table"),
    "200": _("Messages of this type are not read here"),
    "204": _("A number is known as something else"),
    "205": _("A number is already that of somebody else"),
}


class MessageSender(models.Model):
    """A system of an institution that may send messages. It is known by its address or its certificate.

    What a message says of its sender (MSH-3, MSH-4) chooses between systems behind one address and proves nothing.
    """

    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    account = models.ForeignKey(  # acts in the audit; an integrator of the institution
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    application = models.CharField(max_length=180)  # MSH-3.1
    facility = models.CharField(max_length=180, blank=True, default="")  # MSH-4.1
    networks = ArrayField(models.CharField(max_length=43), default=list, blank=True)  # CIDR
    certificate = models.CharField(max_length=64, blank=True, default="")  # SHA-256, hexadecimal
    character_set = models.CharField(max_length=32, blank=True, default="")  # where MSH-18 is empty
    # Issuer of its patient numbers as the institution's studies write it; mostly empty.
    issuer = models.CharField(max_length=128, blank=True, default="")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(certificate="") | ~Q(networks=[]),
                name="message_sender_is_known_by_address_or_certificate",
            ),
            models.UniqueConstraint(
                fields=["institution", "application", "facility"],
                condition=Q(active=True),
                name="message_sender_once_per_institution",
            ),
        ]
        indexes = [models.Index(fields=["application", "facility"], name="message_sender_by_name")]

    def __str__(self) -> str:
        return f"{self.application} {self.facility}".strip()


class HospitalMessage(models.Model):
    """One message as it came, and what became of it. The bytes are patient data, and encrypted."""

    class State(models.TextChoices):
        RECEIVED = "received", _("Received")  # kept, and not yet acted on
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        IGNORED = "ignored", _("Not needed")  # an event that nothing here depends on

    sender = models.ForeignKey(MessageSender, on_delete=models.PROTECT, related_name="messages")
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    kind = models.CharField(max_length=16)  # MSH-9.1
    event = models.CharField(max_length=16, blank=True, default="")  # MSH-9.2
    control_id = models.CharField(max_length=199)  # MSH-10
    digest = models.BinaryField(max_length=32)  # keyed, of all but MSH-7: the same message again
    body = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    received_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=8, choices=State, default=State.RECEIVED)
    settled_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=64, blank=True, default="")  # what it changed: a code
    error_code = models.CharField(max_length=64, blank=True, default="")
    condition = models.CharField(max_length=8, blank=True, default="")  # ERR-3, table 0357
    location = models.CharField(max_length=16, blank=True, default="")  # ERR-2: PID-3
    error_text = models.CharField(max_length=300, blank=True, default="")  # no patient in it

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["sender", "control_id", "digest"], name="hospital_message_once"
            ),
            models.CheckConstraint(
                condition=Q(state="failed") & ~Q(error_code="")
                | ~Q(state="failed") & Q(error_code=""),
                name="hospital_message_that_failed_says_why",
            ),
            models.CheckConstraint(
                condition=Q(state="received", settled_at__isnull=True)
                | ~Q(state="received") & Q(settled_at__isnull=False),
                name="hospital_message_settled_has_instant",
            ),
        ]
        indexes = [
            models.Index(fields=["institution", "-id"], name="message_newest"),
            models.Index(
                fields=["state", "institution", "-id"],
                condition=Q(state__in=["received", "failed"]),
                name="message_unsettled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}^{self.event} {self.pk}"

    @property
    def condition_words(self) -> StrOrPromise:
        """What stood in its way, in the reader's language."""
        return CONDITIONS.get(self.condition, _("It could not be done"))
