"""Listed by ``manage.py help``; ``manage.py`` itself hands ``down`` on before Django starts."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from config.embedded import cli


class Command(BaseCommand):
    help = cli.DOWN_HELP

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        cli.add_down_arguments(parser)

    def run_from_argv(self, argv: list[str]) -> None:
        raise SystemExit(cli.main(argv[1:]))

    def handle(self, *args: Any, **options: Any) -> None:
        raise SystemExit(cli.main(["down"]))
