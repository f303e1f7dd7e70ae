"""Members of the province: who they are, where their archive answers, who works there."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# Codes are parts of object keys and of addresses: letters, digits, hyphen and underscore.
CODE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class Region(models.Model):
    """An administrative region (行政区划), by its 6-digit code (GB/T 2260)."""

    code = models.CharField(
        max_length=6, unique=True, validators=[RegexValidator(r"^[0-9]{6}\Z", _("Six digits."))]
    )
    name = models.CharField(max_length=100)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT)

    class Meta:
        ordering = ["code"]
        # By grant (django-guardian), for one row: its institutions' records, states and counts; no examination.
        permissions = [("oversee_region", "May oversee the institutions of this region")]
        constraints = [
            models.CheckConstraint(
                condition=Q(code__regex=r"^[0-9]{6}$"), name="region_code_is_six_digits"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class Consortium(models.Model):
    """A tight medical consortium (医联体): its members see each other's examinations."""

    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="consortia")

    class Meta:
        ordering = ["code"]
        permissions = [("oversee_consortium", "May oversee the institutions of this consortium")]
        constraints = [
            models.CheckConstraint(
                condition=Q(code__regex=CODE_PATTERN), name="consortium_code_is_plain"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Institution(models.Model):
    """A hospital or clinic that holds examinations."""

    class Level(models.TextChoices):
        TERTIARY = "tertiary", _("Tertiary (三级)")
        SECONDARY = "secondary", _("Secondary (二级)")
        PRIMARY = "primary", _("Primary (一级)")
        UNGRADED = "ungraded", _("Ungraded (未定级)")

    class Kind(models.TextChoices):
        GENERAL = "general", _("General hospital")
        SPECIALISED = "specialised", _("Specialised hospital")
        TCM = "tcm", _("Hospital of traditional Chinese medicine")
        MATERNAL = "maternal", _("Maternal and child hospital")
        COMMUNITY = "community", _("Community or township centre")
        IMAGING = "imaging", _("Imaging centre")

    class State(models.TextChoices):
        ONBOARDING = "onboarding", _("Onboarding")
        ACTIVE = "active", _("Active")
        SUSPENDED = "suspended", _("Suspended")
        LEFT = "left", _("Left")

    code = models.SlugField(max_length=64, unique=True)
    credit_code = models.CharField(  # 统一社会信用代码, policy P2
        max_length=18, blank=True, default="", verbose_name=_("Unified social credit code")
    )
    name = models.CharField(max_length=200)
    level = models.CharField(max_length=16, choices=Level, default=Level.UNGRADED)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.GENERAL)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="institutions")
    consortium = models.ForeignKey(
        Consortium, null=True, blank=True, on_delete=models.PROTECT, related_name="institutions"
    )
    state = models.CharField(max_length=16, choices=State, default=State.ONBOARDING)
    state_reason = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["code"]
        permissions = [("oversee_institution", "May oversee this institution")]
        constraints = [
            models.UniqueConstraint(
                fields=["credit_code"],
                condition=~Q(credit_code=""),
                name="institution_credit_code_is_one_institutions",
            ),
            models.CheckConstraint(
                condition=Q(code__regex=CODE_PATTERN), name="institution_code_is_plain"
            ),
            models.CheckConstraint(  # the alphabet of GB 32100; Python checks the check digit
                condition=Q(credit_code="") | Q(credit_code__regex=r"^[0-9A-HJ-NPQRTUWXY]{18}$"),
                name="institution_credit_code_has_its_form",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["onboarding", "active"]) & Q(state_reason="")
                | Q(state__in=["suspended", "left"]) & ~Q(state_reason=""),
                name="institution_suspended_or_left_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class Endpoint(models.Model):
    """Where an institution's archive answers, and how gently it wants to be asked."""

    class Kind(models.TextChoices):
        DICOMWEB = "dicomweb", "DICOMweb"
        FOLDER = "folder", _("Folder")

    class Auth(models.TextChoices):
        NONE = "none", _("None")
        BASIC = "basic", _("Basic")
        BEARER = "bearer", _("Bearer token")
        OAUTH2 = "oauth2", _("OAuth2 client credentials")
        CERTIFICATE = "certificate", _("Client certificate")

    institution = models.OneToOneField(
        Institution, on_delete=models.PROTECT, related_name="endpoint"
    )
    kind = models.CharField(max_length=16, choices=Kind)
    base_url = models.CharField(max_length=500, blank=True, default="")
    folder = models.CharField(max_length=500, blank=True, default="")
    auth = models.CharField(max_length=16, choices=Auth, default=Auth.NONE)
    # What the kind of auth needs (user and password; token; token URL, client, secret;
    # certificate and key), as JSON, encrypted (common.privacy). Never shown again.
    secret = models.BinaryField(null=True, editable=False)
    concurrency = models.PositiveSmallIntegerField(default=4, validators=[MinValueValidator(1)])
    bandwidth_bytes_per_s = models.PositiveBigIntegerField(null=True, blank=True)
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    connect_timeout_s = models.FloatField(default=10, validators=[MinValueValidator(0.1)])
    read_timeout_s = models.FloatField(default=60, validators=[MinValueValidator(0.1)])
    # DICOM defined term or Python codec name used where a file declares no character set.
    character_set = models.CharField(max_length=32, blank=True, default="")
    # Circuit: after repeated failures nothing is asked until this instant; others are unaffected.
    failures = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField(null=True, blank=True)
    last_error_code = models.CharField(max_length=64, blank=True, default="")
    last_error_text = models.CharField(max_length=500, blank=True, default="")
    last_error_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="dicomweb", folder="") & ~Q(base_url="")
                | Q(kind="folder", base_url="") & ~Q(folder=""),
                name="endpoint_has_the_address_of_its_kind",
            ),
            models.CheckConstraint(
                condition=Q(concurrency__gte=1), name="endpoint_concurrency_is_at_least_one"
            ),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False)
                & ~Q(quiet_from=F("quiet_until")),
                name="endpoint_quiet_hours_are_whole",
            ),
            models.CheckConstraint(
                condition=Q(auth="none", secret__isnull=True)
                | Q(kind="dicomweb", secret__isnull=False) & ~Q(auth="none"),
                name="endpoint_auth_has_its_secret",
            ),
            models.CheckConstraint(
                condition=Q(bandwidth_bytes_per_s__isnull=True) | Q(bandwidth_bytes_per_s__gte=1),
                name="endpoint_bandwidth_is_positive",
            ),
            models.CheckConstraint(
                condition=Q(connect_timeout_s__gt=0, read_timeout_s__gt=0),
                name="endpoint_timeouts_are_positive",
            ),
            models.CheckConstraint(
                condition=Q(last_error_at__isnull=True, last_error_code="")
                | Q(last_error_at__isnull=False) & ~Q(last_error_code=""),
                name="endpoint_error_has_code_and_instant",
            ),
        ]

    def __str__(self) -> str:
        return self.base_url or self.folder


class Probe(models.Model):
    """What an endpoint was seen to be able to do, once; the newest is the one in use."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="probes")
    at = models.DateTimeField(auto_now_add=True)
    reachable = models.BooleanField()
    # Fields of hospitals.domain.abilities.Abilities; the puller reads them through selectors.
    abilities = models.JSONField(default=dict)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_text = models.CharField(max_length=500, blank=True, default="")
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["endpoint", "-at", "-id"], name="probe_newest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(reachable=True) | ~Q(error_code=""), name="probe_that_failed_says_why"
            )
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.at:%Y-%m-%d %H:%M}"


class Membership(models.Model):
    """Who works where, as what, from when to when. No institution means the whole province."""

    class Role(models.TextChoices):
        COMMISSION = "commission", _("Commission administrator")
        INSTITUTION_ADMIN = "institution_admin", _("Institution administrator")
        RADIOLOGIST = "radiologist", _("Radiologist")
        CLINICIAN = "clinician", _("Clinician")
        INTEGRATOR = "integrator", _("Integrator (system)")
        AUDITOR = "auditor", _("Insurance auditor")
        OPERATOR = "operator", _("Operator")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships"
    )
    institution = models.ForeignKey(
        Institution, null=True, blank=True, on_delete=models.PROTECT, related_name="memberships"
    )
    role = models.CharField(max_length=32, choices=Role)
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)  # exclusive

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "institution", "role"],
                condition=Q(valid_until__isnull=True),
                nulls_distinct=False,
                name="membership_open_once_per_user_institution_and_role",
            ),
            # Equal days are allowed: a membership withdrawn on its first day was never in force.
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gte=F("valid_from")),
                name="membership_does_not_end_before_it_starts",
            ),
            models.CheckConstraint(
                condition=Q(
                    role__in=["commission", "auditor", "operator"], institution__isnull=True
                )
                | Q(
                    role__in=["institution_admin", "radiologist", "clinician", "integrator"],
                    institution__isnull=False,
                ),
                name="membership_role_has_its_scope",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.role}"


class Department(models.Model):
    """A department of an institution (科室): a group of colleagues that others may ask for advice."""

    institution = models.ForeignKey(
        Institution, on_delete=models.PROTECT, related_name="departments"
    )
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)  # no longer asked; its history stays

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "name"],
                condition=Q(closed_at__isnull=True),
                name="department_name_once_per_institution",
            ),
            models.CheckConstraint(condition=~Q(name=""), name="department_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class DepartmentMember(models.Model):
    """Who is in a department. Counts only while the account also has a role at the institution."""

    department = models.ForeignKey(Department, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="departments"
    )
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["department", "user"], name="department_member_once")
        ]

    def __str__(self) -> str:
        return f"{self.department}: {self.user}"


class Invitation(models.Model):
    """A one-time link by which somebody gets a role, with an account of their own making or the one they have.

    Only the SHA-256 of its code is kept; the code is shown once, when it is made.
    """

    digest = models.BinaryField(max_length=32, unique=True)
    name = models.CharField(max_length=150)  # of the person who is invited
    email = models.EmailField(blank=True, default="")
    institution = models.ForeignKey(
        Institution, null=True, blank=True, on_delete=models.PROTECT, related_name="invitations"
    )
    role = models.CharField(max_length=32, choices=Membership.Role)
    valid_from = models.DateField(null=True, blank=True)  # none: from its acceptance on
    valid_until = models.DateField(null=True, blank=True)  # exclusive
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="invitations_made"
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="invitations_accepted",
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True, accepted_by__isnull=True)
                | Q(accepted_at__isnull=False, accepted_by__isnull=False),
                name="invitation_accepted_when_and_by_whom",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True) | Q(revoked_at__isnull=True),
                name="invitation_is_accepted_or_revoked_not_both",
            ),
            models.CheckConstraint(
                condition=Q(
                    role__in=["commission", "auditor", "operator"], institution__isnull=True
                )
                | Q(
                    role__in=["institution_admin", "radiologist", "clinician"],
                    institution__isnull=False,
                ),
                name="invitation_role_has_its_scope",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.role}"
