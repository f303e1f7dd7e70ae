"""``manage.py assign_patients``: studies of an older release get their patients and persons."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sharing.services import assigning


class Command(BaseCommand):
    help = "Give each study that names no patient its local patient and person, in batches; goes on where it stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=2000, metavar="N", help="rows in one go")

    def handle(self, *args: Any, batch: int, **options: Any) -> None:
        done = 0
        for filled in assigning.backfilled(batch=batch):
            done += filled
            self.stdout.write(f"{done} studies assigned", ending="\r")
        self.stdout.write(f"{done} studies assigned")
