"""Accounts of people and of systems, and the tokens that systems show."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person or a system. What it may do comes from memberships and grants, not from here."""

    is_system = models.BooleanField(default=False)  # logs in by bearer token only
    language = models.CharField(max_length=10, blank=True, choices=settings.LANGUAGES)
    must_change_password = models.BooleanField(default=False)
    password_set_at = models.DateTimeField(null=True, blank=True)

    # No column: whether the session of the request in hand has shown a second factor (DICOMweb requests only).
    session_is_verified = False

    class Meta:
        ordering = ["username"]

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Token(models.Model):
    """A bearer token (RFC 6750). Only its SHA-256 is kept; the token is shown once, when it is made."""

    class Scope(models.TextChoices):
        FULL = "full", _("Everything the account may do")
        READ = "read", _("Reading only")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens"
    )
    digest = models.BinaryField(max_length=32, unique=True)
    prefix = models.CharField(
        max_length=12
    )  # enough to tell tokens apart in a list, useless to log in with
    label = models.CharField(max_length=100, blank=True, default="")  # where it is used
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.FULL)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)  # to the minute
    # After a rotation: its successor. This one lives for a time of grace, until ``expires_at``.
    replaced_by = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces"
    )

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="token_ends_after_it_begins"
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["full", "read"]), name="token_scope_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class SecondFactor(models.Model):
    """A person's generator of one-time codes (TOTP, RFC 6238); in use once a code has confirmed it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="second_factor"
    )
    secret = models.BinaryField()  # the shared key, encrypted (common.privacy)
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    # Of the newest code that was accepted: it and older ones are refused (RFC 6238 section 5.2).
    last_step = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"second factor of account {self.user_id}"


class RecoveryCode(models.Model):
    """One of the codes that stand in for a lost generator, once each. Only its keyed hash is kept."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes"
    )
    digest = models.BinaryField(max_length=32)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "digest"], name="recovery_code_is_one_of_its_person"
            )
        ]

    def __str__(self) -> str:
        return f"recovery code of account {self.user_id}"


class PersonSession(models.Model):
    """Where a person is logged in: what the list of sessions shows beside the session itself."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sessions"
    )
    session_key = models.CharField(max_length=40, unique=True)
    device = models.CharField(max_length=80, blank=True, default="")
    address = models.CharField(max_length=45, blank=True, default="")
    started_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)  # to some minutes

    class Meta:
        ordering = ["-last_used_at", "-pk"]

    def __str__(self) -> str:
        return f"session of account {self.user_id}"


class FormerPassword(models.Model):
    """The hash of a password that an account has or had, so that it is not chosen again."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="former_passwords"
    )
    password = models.CharField(max_length=128)
    set_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-set_at", "-pk"]

    def __str__(self) -> str:
        return f"former password of account {self.user_id}"


class OutsideIdentity(models.Model):
    """An account as an OpenID provider knows it: issuer and subject, which never change (OIDC Core 2)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="outside_identities"
    )
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    linked_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "subject"], name="outside_identity_is_one_accounts"
            ),
            models.UniqueConstraint(
                fields=["user", "issuer"], name="outside_identity_once_per_account_and_issuer"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.issuer} of account {self.user_id}"


class LoginThrottle(models.Model):
    """Failed log-ins of one account or one address; kept in the database so that no restart forgives them."""

    key = models.BinaryField(
        max_length=32, unique=True
    )  # keyed hash: a mistyped name may be a password
    failures = models.PositiveIntegerField(default=0)
    first_failed_at = models.DateTimeField()
    locked_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.failures} since {self.first_failed_at:%Y-%m-%d %H:%M}"
