"""``manage.py sweep``: remove what crashes left behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sharing.services.sweeping import sweep


class Command(BaseCommand):
    help = "Remove orphans of the object store older than a day, abandoned uploads and abandoned spools."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than-hours", type=float, default=24.0, metavar="H")
        parser.add_argument(
            "--dry-run", action="store_true", help="only list what would be removed"
        )

    def handle(self, *args: Any, older_than_hours: float, dry_run: bool, **options: Any) -> None:
        if older_than_hours < 1:
            raise CommandError(
                "Younger than an hour may belong to a running pull; ask for 1 or more."
            )
        swept = sweep(older_than=timedelta(hours=older_than_hours), dry_run=dry_run)
        for key in swept.orphans:
            self.stdout.write(key)
        verb = "would be removed" if dry_run else "removed"
        self.stdout.write(
            f"{swept.looked_at} objects looked at; {len(swept.orphans)} orphans ({swept.size_bytes} bytes), "
            f"{swept.uploads} uploads and {swept.spools} spools {verb}."
        )
