"""``manage.py verify_audit``: is the audit trail what was written? Exit status 1 if not."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from common.audit import sequencer
from common.audit.verify import verify


class Command(BaseCommand):
    help = "Check every link of the audit chain, and say which is the first that is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-chain", action="store_true", help="do not link the entries that still wait first"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["no_chain"]:
            sequencer.chain_all()
        verdict = verify()
        if verdict.fault is not None:
            self.stderr.write(f"The audit trail is broken at {verdict.fault}.")
            self.stderr.write(f"Good up to link {verdict.links}, head {verdict.head.hex()}.")
            sys.exit(1)
        self.stdout.write(
            f"The audit trail is whole: {verdict.links} links, {verdict.anchors} anchors, "
            f"{verdict.waiting} entries waiting, head {verdict.head.hex()}."
        )
