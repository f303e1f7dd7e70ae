"""Rules for passwords beyond the framework's: none of the last ones again, and an end where a setting says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.accounts.models import FormerPassword, User


class NotUsedBefore:
    """Refuses the password in use and those before it; an entry of ``AUTH_PASSWORD_VALIDATORS``."""

    def __init__(self, remembered: int = 5) -> None:
        self.remembered = remembered

    def validate(self, password: str, user: Any = None) -> None:
        if not isinstance(user, User) or user.pk is None:
            return
        hashes = {user.password, *self._former(user)}
        if any(check_password(password, known) for known in hashes if known):
            raise ValidationError(
                _("This password was used before. Choose a new one."), code="password_used_before"
            )

    def password_changed(self, password: str, user: Any = None) -> None:
        """Called by the framework after the new password was saved."""
        if not isinstance(user, User) or user.pk is None:
            return
        now = timezone.now()
        FormerPassword.objects.create(user=user, password=user.password, set_at=now)
        kept = list(
            FormerPassword.objects.filter(user=user).values_list("pk", flat=True)[: self.remembered]
        )
        FormerPassword.objects.filter(user=user).exclude(pk__in=kept).delete()
        User.objects.filter(pk=user.pk).update(password_set_at=now)

    def get_help_text(self) -> str:
        return ngettext(
            "Not the last password again.",
            "None of the last %(number)d passwords again.",
            self.remembered,
        ) % {"number": self.remembered}

    def _former(self, user: User) -> list[str]:
        rows = FormerPassword.objects.filter(user=user)[: self.remembered]
        return [row.password for row in rows]


def remember(user: User) -> None:
    """Keep the password in use among the former ones: the framework tells of those that it hashes in ``save`` only."""
    FormerPassword.objects.get_or_create(
        user=user,
        password=user.password,
        defaults={"set_at": user.password_set_at or user.date_joined},
    )


def has_ended(user: User) -> bool:
    """Whether the password is older than ``PASSWORD_MAX_DAYS``; never where that is 0."""
    days: int = settings.PASSWORD_MAX_DAYS
    if not days or not user.has_usable_password():
        return False
    return (user.password_set_at or user.date_joined) < timezone.now() - timedelta(days=days)
