"""``manage.py read_reports``: the reports that lie in the archive, of studies that were archived before."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from sharing.services import archived_reports


class Command(BaseCommand):
    help = (
        "Take in the structured reports and PDF of every archived study: after an upgrade from a release without"
        " reports, and after rebuild_index. Newly archived studies are read by themselves."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        read = found = 0
        for study_id in archived_reports.studies_to_read():
            found += archived_reports.read_reports(study_id=study_id)
            read += 1
        self.stdout.write(f"{read} studies read, {found} new reports.")
