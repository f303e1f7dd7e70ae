"""``manage.py demo_seed``: the demo province, before its web server starts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import demo
from sharing.jobs import DISCOVER_WINDOW
from sharing.services import discovery


class Command(BaseCommand):
    help = "Make the demo province: its hospitals' files, institutions and people. Used by 'up --demo'."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--origin-url", required=True, help="where the DICOMweb hospital answers"
        )

    def handle(self, *args: Any, origin_url: str, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError(
                "Demo accounts exist only in a demo: start it with 'manage.py up --demo'."
            )
        maker = settings.ROOT / "tools" / "demo_data.py"
        made = subprocess.run(
            [sys.executable, str(maker), str(settings.DATA_DIR / "demo")], check=False
        )
        if made.returncode:
            raise CommandError("The demo hospitals' files could not be made; see above.")
        for institution in demo.seed(origin_url=origin_url):
            for window in discovery.open_window(institution_id=institution.pk):
                DISCOVER_WINDOW.enqueue(window_id=window.pk)
        self.stdout.write("The demo province is ready; its hospitals are being pulled.")
