"""``manage.py rebuild_index``: the index from the bucket alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sharing.services.rebuilding import Rebuilt, rebuild_index


class Command(BaseCommand):
    help = (
        "Rebuild institutions, studies, series, revisions, certificates and quarantine cases from the object "
        "store alone. Drops nothing: what the database has and the bucket has not stays."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = Rebuilt()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("Rebuilding", total=None)
            for done in rebuild_index():
                bar.update(task, description=f"{done.studies} studies, {done.series} series")
        for reason in done.unusable:
            self.stderr.write(reason)
        self.stdout.write(
            f"{done.institutions} institutions, {done.studies} studies, {done.series} series: "
            f"{done.revisions} revisions, {done.certificates} certificates and {done.quarantined} quarantine "
            "cases written. Institutions that were made anew have no endpoint: manage.py hospital endpoint CODE."
        )
        if done.unusable:
            raise CommandError(f"{len(done.unusable)} objects could not be used.")
