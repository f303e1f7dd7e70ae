"""``manage.py create_token USERNAME``: prints a bearer token and nothing else."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.accounts.models import Token, User
from common.accounts.tokens import create_token


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 3650:
        raise argparse.ArgumentTypeError("between 1 and 3650 days")
    return days


class Command(BaseCommand):
    help = "Make a bearer token for an account and print it, once: only its digest is kept."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--days", type=_days, default=365, help="until it expires (365)")
        parser.add_argument("--scope", choices=Token.Scope.values, default=Token.Scope.FULL)

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"]
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no account named {username!r}.")
        if not user.is_active:
            raise CommandError(f"The account {username!r} is not active.")
        self.stdout.write(
            create_token(
                actor="create_token", user=user, days=options["days"], scope=options["scope"]
            )
        )
