"""Remote consultation (会诊): a question to a colleague or department elsewhere, the talk about it, signed opinions."""

from __future__ import annotations

from datetime import date, datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# Who may ask and be asked: readers of images, with the values of hospitals' memberships.
TAKES_PART = ("radiologist", "clinician")
# People of such an institution see no partner's examinations (sharing.permissions.SEES_NO_PARTNER).
_SEES_NO_PARTNER = ("suspended", "left")


class ConsultationQuerySet(models.QuerySet["Consultation"]):
    """Questions for those who take part."""

    def in_force(self, *, at: datetime) -> ConsultationQuerySet:
        """Those that give rights at this instant."""
        return self.filter(closed_at__isnull=True, opens_at__lte=at, expires_at__gt=at)


class Consultation(models.Model):
    """One consultation. Gives both sides sight of its studies from ``opens_at`` until it ends or expires.

    ``asked_user`` is whom it was addressed or forwarded to; everybody in ``asked_department`` takes part too.
    """

    class State(models.TextChoices):
        ASKED = "asked", _("Waiting for an answer")
        ACCEPTED = "accepted", _("In consultation")
        ANSWERED = "answered", _("Opinion signed")
        CLOSED = "closed", _("Closed")
        DECLINED = "declined", _("Declined")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        EXPIRED = "expired", _("Expired")

    class Urgency(models.TextChoices):
        EMERGENCY = "emergency", _("Emergency")
        URGENT = "urgent", _("Urgent")
        ROUTINE = "routine", _("Routine")

    OPEN = ("asked", "accepted", "answered")

    asking_institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    asked_institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    asked_department = models.ForeignKey(
        "hospitals.Department", null=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    urgency = models.CharField(max_length=10, choices=Urgency, default=Urgency.ROUTINE)
    question = models.TextField()
    summary = models.TextField(blank=True, default="")  # what is known of the patient
    state = models.CharField(max_length=10, choices=State, default=State.ASKED)
    opens_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)  # ended, in whichever way
    reminded_at = models.DateTimeField(null=True)  # that nobody has accepted
    end_reminded_at = models.DateTimeField(null=True)  # that the term ends without an opinion

    objects = ConsultationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("opens_at")), name="consultation_ends_after_it_begins"
            ),
            models.CheckConstraint(
                condition=Q(asked_user__isnull=False) | Q(asked_department__isnull=False),
                name="consultation_asks_somebody",
            ),
            models.CheckConstraint(condition=~Q(question=""), name="consultation_has_a_question"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, state__in=["asked", "accepted", "answered"])
                | Q(
                    closed_at__isnull=False,
                    state__in=["closed", "declined", "withdrawn", "expired"],
                ),
                name="consultation_ended_has_an_instant",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True, accepted_by__isnull=True)
                | Q(accepted_at__isnull=False, accepted_by__isnull=False),
                name="consultation_accepted_by_whom_and_when",
            ),
        ]
        indexes = [
            models.Index(fields=["asked_by", "-id"], name="consultation_asked_by"),
            models.Index(fields=["asked_user", "-id"], name="consultation_asked_user"),
            models.Index(fields=["asked_department", "-id"], name="consultation_asked_dept"),
            models.Index(
                fields=["expires_at"],
                condition=Q(closed_at__isnull=True),
                name="consultation_open",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class ConsultationStudyQuerySet(models.QuerySet["ConsultationStudy"]):
    """What consultations let people see."""

    def granted_to(self, user_id: int, *, at: datetime, on: date) -> list[int]:
        """Ids of the studies that an account may see at this instant because it takes part in a consultation.

        Only while it is a radiologist or clinician of its side's institution on that day, that institution is
        neither suspended nor gone, and the one that holds the study has not left. Two queries.
        """
        rows = self.filter(
            Q(consultation__closed_at__isnull=True),
            Q(consultation__opens_at__lte=at, consultation__expires_at__gt=at),
            Q(study__isnull=False) & ~Q(study__institution__state="left"),
        )
        addressed = Q(consultation__asked_user=user_id) | Q(
            consultation__asked_department__members__user=user_id
        )
        asked = rows.filter(addressed).filter(_works_at("asked", user_id, on))
        asking = rows.filter(consultation__asked_by=user_id).filter(
            _works_at("asking", user_id, on)
        )
        return sorted({pk for one in (asked, asking) for pk in one.values_list("study", flat=True)})


def _works_at(side: str, user_id: int, on: date) -> Q:
    """The account is a reader of images at that side's institution, which sees its partners' examinations."""
    place = f"consultation__{side}_institution__"
    held = f"{place}memberships__"
    return (
        Q(
            **{
                f"{held}user": user_id,
                f"{held}role__in": TAKES_PART,
                f"{held}valid_from__lte": on,
            }
        )
        & (Q(**{f"{held}valid_until__isnull": True}) | Q(**{f"{held}valid_until__gt": on}))
        & ~Q(**{f"{place}state__in": _SEES_NO_PARTNER})
    )


class ConsultationStudy(models.Model):
    """A study that a consultation is about: both sides see it for the consultation's term.

    The study is named without a constraint of the database: a deletion takes the index row away, and an undo
    gives it back with its number (ADR 0016), so that the right is there again.
    """

    consultation = models.ForeignKey(Consultation, on_delete=models.PROTECT, related_name="studies")
    study = models.ForeignKey(
        "sharing.Study",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    institution = models.ForeignKey(
        "hospitals.Institution", on_delete=models.PROTECT, related_name="+"
    )
    study_instance_uid = models.CharField(max_length=64)
    attached_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    attached_at = models.DateTimeField(default=timezone.now)
    basis = models.CharField(max_length=64)  # on which whoever attached it could see it

    objects = ConsultationStudyQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["consultation", "institution", "study_instance_uid"],
                name="consultation_study_once",
            )
        ]

    def __str__(self) -> str:
        return self.study_instance_uid


class ConsultationEntry(models.Model):
    """One line of a consultation's history: what somebody did or wrote. Rows are only ever added.

    Names are copies: they must still read the same when an account changes.
    """

    class Kind(models.TextChoices):
        ASKED = "asked", _("asked")
        ACCEPTED = "accepted", _("accepted")
        DECLINED = "declined", _("declined")
        FORWARDED = "forwarded", _("forwarded")
        MESSAGE = "message", _("wrote")
        STUDIES = "studies", _("attached studies")
        OPINION = "opinion", _("signed an opinion")
        AMENDED = "amended", _("amended the opinion")
        CLOSED = "closed", _("closed the consultation")
        WITHDRAWN = "withdrawn", _("withdrew the question")
        EXPIRED = "expired", _("the term has ended")
        REMINDED = "reminded", _("nobody has accepted yet")
        ENDING = "ending", _("the term ends soon")

    consultation = models.ForeignKey(Consultation, on_delete=models.PROTECT, related_name="entries")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=10, choices=Kind)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )  # null: the system
    actor_name = models.CharField(max_length=200, blank=True, default="")
    institution_name = models.CharField(max_length=200, blank=True, default="")
    text = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["consultation", "id"], name="consultation_entries")]

    def __str__(self) -> str:
        return f"{self.consultation_id} {self.kind}"


class ConsultationOpinion(models.Model):
    """A signed opinion (会诊意见). Amended by a further one; rows are only ever added.

    ``digest`` is SHA-256 over what was signed and the digest before it, ``seal`` an HMAC over the digest with a
    key that the database does not hold (ADR 0026).
    """

    consultation = models.ForeignKey(
        Consultation, on_delete=models.PROTECT, related_name="opinions"
    )
    number = models.PositiveIntegerField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    author_username = models.CharField(max_length=150)
    author_name = models.CharField(max_length=200)
    institution_code = models.CharField(max_length=64)
    institution_name = models.CharField(max_length=200)
    department_name = models.CharField(max_length=100, blank=True, default="")
    findings = models.TextField(blank=True, default="")
    opinion = models.TextField()
    advice = models.TextField(blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")  # why it was amended
    study_instance_uids = models.JSONField(default=list)  # which studies it speaks about
    second_factor = models.BooleanField(default=False)  # signed with password and one-time code
    signed_at = models.DateTimeField()
    previous_digest = models.CharField(max_length=64, blank=True, default="")
    digest = models.CharField(max_length=64)
    seal = models.CharField(max_length=64)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["consultation", "number"], name="opinion_number_once_per_consultation"
            ),
            models.CheckConstraint(condition=~Q(opinion=""), name="opinion_says_something"),
            models.CheckConstraint(
                condition=Q(number=1, reason="", previous_digest="")
                | Q(number__gt=1) & ~Q(reason="") & ~Q(previous_digest=""),
                name="opinion_amended_says_why_and_names_the_former",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.consultation_id} #{self.number}"


class ConsultationSeen(models.Model):
    """How far somebody has read a consultation's history: what is newer is news in the inbox."""

    consultation = models.ForeignKey(Consultation, on_delete=models.CASCADE, related_name="seen")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    newest_entry = models.BigIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["consultation", "user"], name="consultation_seen_once_per_reader"
            )
        ]

    def __str__(self) -> str:
        return f"{self.consultation_id} {self.user_id}"
