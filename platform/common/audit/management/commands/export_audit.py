"""``manage.py export_audit``: the chain as JSON lines, for ``tools/verify_audit_export.py`` and for archiving.

With ``--format dicom``: each entry as a DICOM audit message (PS3.15 section A.5), one XML document a line.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from common.audit import chain, sequencer
from common.audit.dicom_message import Source, audit_message
from common.audit.models import ChainLink, DailyAnchor
from common.audit.verify import linked_entries


def export_lines(*, after: int = 0) -> Iterator[str]:
    """A head, one line for each link, one for each anchor of the part, and an end with the count.

    Raises:
        CommandError: there is no link ``after``.
    """
    head = chain.GENESIS
    if after:
        link = ChainLink.objects.filter(sequence=after).first()
        if link is None:
            raise CommandError(f"The chain has no link {after}.")
        head = bytes(link.hash)
    yield _line(kind="head", format="imaging-audit-export", version=1, after=after, hash=head.hex())
    last = after
    for item in linked_entries(after=after):
        last = item.sequence
        yield _line(
            kind="entry",
            sequence=item.sequence,
            prev_hash=item.prev_hash.hex(),
            hash=item.hash.hex(),
            entry=item.fields,
        )
    for anchor in DailyAnchor.objects.filter(sequence__gt=after, sequence__lte=last):
        yield _line(
            kind="anchor",
            day=str(anchor.day),
            sequence=anchor.sequence,
            hash=bytes(anchor.hash).hex(),
        )
    yield _line(kind="end", sequence=last)


def message_lines(*, after: int = 0) -> Iterator[str]:
    """One DICOM audit message for each link; those of entries that are gone are left out."""
    source = Source(settings.AUDIT.source_id, settings.AUDIT.site_id)
    for item in linked_entries(after=after):
        if item.fields is not None:
            yield audit_message(item.fields, source).decode()


def _line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


class Command(BaseCommand):
    help = "Write the audit chain as JSON lines, or as DICOM audit messages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="a file; the standard output if not given")
        parser.add_argument("--format", choices=("chain", "dicom"), default="chain")
        parser.add_argument("--after", type=int, default=0, help="only links after this sequence")

    def handle(self, *args: Any, **options: Any) -> None:
        sequencer.chain_all()
        form = message_lines if options["format"] == "dicom" else export_lines
        lines = form(after=options["after"])
        if options["output"] is None:
            for line in lines:
                self.stdout.write(line)
            return
        with options["output"].open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
