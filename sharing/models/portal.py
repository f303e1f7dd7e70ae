"""What one reader keeps in the portal: whom they looked at last, and questions they ask often."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class RecentPatient(models.Model):
    """A person whose time line an account opened; the newest twenty stay, and the account clears them.

    A convenience and no trail: what was looked at stands in the audit, which nobody clears.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey("sharing.Person", on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "person"], name="recent_once_per_person")
        ]
        indexes = [models.Index(fields=["user", "-seen_at"], name="recent_of_user")]

    def __str__(self) -> str:
        return str(self.pk)


class SavedSearch(models.Model):
    """A named question of one account: filters only, never a value that identifies a patient."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    filters = models.JSONField()  # names and values of the search form, all texts
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="saved_search_once_per_name")
        ]

    def __str__(self) -> str:
        return self.name
