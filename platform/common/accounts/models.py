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
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.FULL)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)  # to the minute

    class Meta:
        ordering = ["-created_at"]
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
