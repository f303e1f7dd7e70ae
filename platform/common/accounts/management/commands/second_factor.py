"""``manage.py second_factor reset USERNAME``: for the administrator whom nobody else can help."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from common.accounts import factors, people, sessions, throttle
from common.errors import DomainError

ACTOR = "manage.py second_factor"


class Command(BaseCommand):
    help = "Take somebody's second factor away, end their sessions and release their lock."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("verb", choices=["reset"])
        parser.add_argument("username")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                user = people.get_person(username=options["username"])
                factors.remove_factor(actor=ACTOR, user=user)
                ended = sessions.end_sessions(actor=ACTOR, user=user)
                throttle.release(actor=ACTOR, user=user)
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(
            f"{user.username} sets up a second factor at the next log-in; {ended} sessions ended."
        )
