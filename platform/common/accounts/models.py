"""Accounts of people and of systems."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person or a system. What it may do comes from memberships and grants, not from here."""

    is_system = models.BooleanField(default=False)  # logs in by bearer token only

    class Meta:
        ordering = ["username"]

    def __str__(self) -> str:
        return self.get_full_name() or self.username
