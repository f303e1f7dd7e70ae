"""``manage.py pull CODE``: copy a hospital's studies into the shared archive."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from common.dicom.uids import is_valid_uid
from common.errors import DomainError
from hospitals import selectors as hospital_selectors
from sharing.services import runs
from sharing.services.runs import PullRun, RunSummary


class Command(BaseCommand):
    requires_system_checks = ()  # they import every page: half a second and 15 MB that a pull does not need
    help = (
        "Find a hospital's studies and pull them into the shared archive. With --wait the work is done here, "
        "with progress and a closing table; without it, the workers do it. Without dates: everything that the "
        "hospital lists. Exit status 1 if anything failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", metavar="CODE", help="the institution's code")
        parser.add_argument(
            "--since", type=_day, metavar="DATE", help="first study date (YYYY-MM-DD)"
        )
        parser.add_argument(
            "--until", type=_day, metavar="DATE", help="last study date (YYYY-MM-DD)"
        )
        parser.add_argument(
            "--study",
            default="",
            metavar="UID",
            help="only this study, every instance compared again",
        )
        parser.add_argument(
            "--index-only", action="store_true", help="write the index, copy nothing"
        )
        parser.add_argument("--wait", action="store_true", help="pull here and now, and report")

    def handle(self, *args: Any, code: str, wait: bool, **options: Any) -> None:
        _check(options)
        console = Console(stderr=True)
        try:
            institution = hospital_selectors.get_institution(code=code)
            run = runs.start(
                institution_id=institution.pk,
                since=options["since"],
                until=options["until"],
                study_instance_uid=options["study"],
                index_only=options["index_only"],
            )
            with console.status("Asking the hospital which studies it has…") as status:
                for state in runs.discover(run):
                    status.update(f"{state.studies_found} studies found…")
            if options["study"] and not run.studies_found:
                raise CommandError(f"{code} lists no study {options['study']}.")
            if wait and not options["index_only"]:
                self._work(run, console)
        except DomainError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        summary = runs.summarise(run)
        if wait:
            table = Console(width=max(100, console.width))
            with table.capture() as text:
                table.print(_table(run, summary))
            self.stdout.write(text.get())
        else:
            then = "indexed only" if options["index_only"] else "the workers pull what is new"
            self.stdout.write(f"{run.studies_found} studies found; {then}.")
        if summary.failures and (wait or not run.studies_found):
            for name, error_code, reason in summary.failures:
                self.stderr.write(f"{name}: {error_code}: {reason}")
            raise CommandError(f"{len(summary.failures)} failed.")

    def _work(self, run: PullRun, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("series"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as bar:
            series = bar.add_task("Pulling", total=None)
            for state in runs.work(run):
                bar.update(
                    series,
                    total=state.total or None,
                    completed=state.done + state.failed,
                    description=_progress(state),
                )


def _progress(run: PullRun) -> str:
    text = f"Pulling · {run.received_instances} instances · {run.received_bytes / 1e6:.1f} MB"
    return f"{text} · the hospital's quiet hours: waiting" if run.quiet else text


def _check(options: dict[str, Any]) -> None:
    since, until, study = options["since"], options["until"], options["study"]
    if since and until and since > until:
        raise CommandError("--since is later than --until.")
    if study and (since or until):
        raise CommandError("--study asks for one study; leave the dates out.")
    if study and not is_valid_uid(study):
        raise CommandError(f"{study} is not a UID (digits and dots, at most 64).")


def _day(text: str) -> date:
    digits = text.replace("-", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        raise CommandError(f"{text} is not a date; write YYYY-MM-DD.") from None


def _table(run: PullRun, summary: RunSummary) -> Table:
    table = Table(title="Pull", show_header=True)
    rate = summary.size_bytes / 1e6 / summary.seconds if summary.seconds else 0.0
    rows = {
        "studies": str(max(summary.studies, run.studies_found)),
        "series": str(summary.series),
        "instances": str(summary.instances),
        "bytes": str(summary.size_bytes),
        "MB/s": f"{rate:.1f}",
        "verified": str(summary.verified),
        "quarantined": str(summary.quarantined),
        "failed": str(len(summary.failures)),
    }
    for name in rows:
        table.add_column(name, justify="right")
    table.add_row(*rows.values())
    return table
