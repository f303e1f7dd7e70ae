"""``manage.py verify_archive``: read the archive again and hash it again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sharing.services.scrubbing import scrub


class Command(BaseCommand):
    help = (
        "Scrub: re-read every current revision and certificate from the object store, re-hash every instance, "
        "and report what differs. Changes nothing; exit status 1 when something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--study", default="", metavar="UID", help="only this Study Instance UID"
        )

    def handle(self, *args: Any, study: str, **options: Any) -> None:
        checked = instances = size = 0
        faulty: list[str] = []
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("Verifying", total=None)
            for result in scrub(study_instance_uid=study):
                checked += 1
                instances += result.instances
                size += result.size_bytes
                bar.update(task, description=f"{checked} objects, {size / 1e6:.1f} MB")
                for fault in result.faults:
                    faulty.append(result.name)
                    self.stderr.write(f"{result.name}: {fault}")
        if study and not checked:
            raise CommandError(f"No archived study {study}.")
        summary = f"{checked} objects, {instances} instances, {size} bytes verified"
        if faulty:
            raise CommandError(f"{summary}; {len(set(faulty))} damaged.")
        self.stdout.write(f"{summary}; no faults.")
