"""``manage.py verify_audit``: is the audit trail what was written? Exit status 1 if not."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from common.audit import anchors, sequencer
from common.audit.verify import verify
from common.storage import StoreUnavailable, object_store


class Command(BaseCommand):
    help = "Check every link of the audit chain, and say which is the first that is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-chain", action="store_true", help="do not link the entries that still wait first"
        )
        parser.add_argument(
            "--no-store",
            action="store_true",
            help="do not compare with the anchors in the object store",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["no_chain"]:
            sequencer.chain_all()
        verdict = verify(None if options["no_store"] else self._stored())
        if verdict.fault is not None:
            self.stderr.write(f"The audit trail is broken at {verdict.fault}.")
            self.stderr.write(f"Good up to link {verdict.links}, head {verdict.head.hex()}.")
            sys.exit(1)
        self.stdout.write(
            f"The audit trail is whole: {verdict.links} links, {verdict.anchors} anchors, "
            f"{verdict.stored_anchors} of them in the object store too, "
            f"{verdict.waiting} entries waiting, head {verdict.head.hex()}."
        )

    def _stored(self) -> list[anchors.StoredAnchor]:
        try:
            return anchors.stored_anchors(object_store())
        except StoreUnavailable as error:
            self.stderr.write(f"The anchors in the object store cannot be read: {error}")
        except anchors.AnchorUnreadable as error:
            self.stderr.write(f"The object {error} is not the anchor that it should be.")
        sys.exit(1)
