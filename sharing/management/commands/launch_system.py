"""``manage.py launch_system``: which order-entry systems may open one patient's time line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.accounts.people import get_person
from common.errors import DomainError
from sharing.models import LaunchSystem
from sharing.services import launching

ACTOR = "operator"


class Command(BaseCommand):
    help = "Register order-entry systems that launch the time line of one patient."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="let a system launch")
        add.add_argument("institution", metavar="CODE")
        add.add_argument("--account", required=True, help="an integrator of the institution")
        add.add_argument("--origin", action="append", default=[], help="whose pages may frame it")
        add.add_argument("--minutes", type=int, default=30, help="term of a view")
        add.add_argument("--secret", action="store_true", help="for signed forms; printed once")
        actions.add_parser("list", help="the registered systems")
        end = actions.add_parser("end", help="no more launches, and open views end")
        end.add_argument("key", metavar="KEY")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(options)
        except DomainError as error:
            raise CommandError(error.message) from error

    def _add(self, options: dict[str, Any]) -> None:
        system, secret = launching.add_system(
            actor=ACTOR,
            institution_code=options["institution"],
            account=get_person(username=options["account"]),
            origins=tuple(options["origin"]),
            term_minutes=options["minutes"],
            with_secret=options["secret"],
        )
        self.stdout.write(f"key {system.key_id}" + (f"  secret {secret}" if secret else ""))

    def _list(self, options: dict[str, Any]) -> None:
        for row in LaunchSystem.objects.select_related("institution", "account"):
            self.stdout.write(
                f"{row.key_id}  {row.institution.code}  {row.account.username}  "
                f"{row.term_minutes} min  {' '.join(row.origins) or 'in no frame'}"
                + ("" if row.active else "  ended")
            )

    def _end(self, options: dict[str, Any]) -> None:
        launching.end_system(actor=ACTOR, key_id=options["key"])
        self.stdout.write("Ended.")
