"""Checking the chain: every link, every entry, every anchor, as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils import timezone

from common.audit import chain
from common.audit.models import AuditEntry, ChainLink, DailyAnchor, PendingEntry

_PIECE = 2000
_PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class LinkedEntry:
    """One link with its entry's content; no content if the entry is gone."""

    sequence: int
    entry_id: int
    prev_hash: bytes
    hash: bytes
    fields: dict[str, Any] | None


@dataclass(frozen=True)
class Fault:
    """The first thing that does not agree."""

    sequence: int | None
    entry_id: int | None
    text: str

    def __str__(self) -> str:
        place = "" if self.sequence is None else f"link {self.sequence}, "
        return f"{place}entry {self.entry_id}: {self.text}"


@dataclass
class Verdict:
    """What a run over the chain found."""

    links: int = 0
    anchors: int = 0
    head: bytes = chain.GENESIS
    waiting: int = 0  # entries of the last minutes that the sequencer has not come to
    fault: Fault | None = None
    checked_at: str = field(default_factory=lambda: chain.instant(timezone.now()))


def linked_entries(*, after: int = 0) -> Iterator[LinkedEntry]:
    """Links in order with their entries, in constant memory."""
    while True:
        links = list(ChainLink.objects.filter(sequence__gt=after).order_by("sequence")[:_PIECE])
        rows = {
            row["id"]: row
            for row in AuditEntry.objects.filter(pk__in=[link.entry_id for link in links]).values(
                *chain.COLUMNS
            )
        }
        for link in links:
            row = rows.get(link.entry_id)
            yield LinkedEntry(
                link.sequence,
                link.entry_id,
                bytes(link.prev_hash),
                bytes(link.hash),
                None if row is None else chain.content(row),
            )
        if len(links) < _PIECE:
            return
        after = links[-1].sequence


def verify() -> Verdict:
    """Run over the whole chain and stop at the first fault."""
    verdict = Verdict()
    anchors = {a.sequence: a for a in DailyAnchor.objects.order_by("day")}
    for item in linked_entries():
        verdict.fault = _fault_of(item, verdict)
        if verdict.fault:
            return verdict
        verdict.links, verdict.head = item.sequence, item.hash
        anchor = anchors.pop(item.sequence, None)
        if anchor is None:
            continue
        verdict.anchors += 1
        if bytes(anchor.hash) != item.hash:
            verdict.fault = Fault(
                item.sequence, item.entry_id, f"differs from the anchor of {anchor.day}"
            )
            return verdict
    verdict.fault = _missing_end(anchors) or _without_link(verdict)
    return verdict


def _fault_of(item: LinkedEntry, so_far: Verdict) -> Fault | None:
    def fault(text: str) -> Fault:
        return Fault(item.sequence, item.entry_id, text)

    if item.sequence != so_far.links + 1:
        return fault(f"link {so_far.links + 1} is missing")
    if item.prev_hash != so_far.head:
        return fault("does not continue the link before it")
    if item.fields is None:
        return fault("the entry is gone")
    expected = chain.link_hash(prev_hash=item.prev_hash, sequence=item.sequence, fields=item.fields)
    if expected != item.hash:
        return fault("the entry is not what was chained")
    return None


def _missing_end(anchors: dict[int, DailyAnchor]) -> Fault | None:
    for sequence, anchor in sorted(anchors.items()):
        return Fault(sequence, None, f"anchored on {anchor.day}, but the chain ends before it")
    return None


def _without_link(verdict: Verdict) -> Fault | None:
    """Entries that are in no link, though not for the sequencer's being late."""
    verdict.waiting = PendingEntry.objects.count()
    unlinked = AuditEntry.objects.filter(
        ~Exists(ChainLink.objects.filter(entry=OuterRef("pk")))
    ).order_by("pk")
    lost = unlinked.filter(~Exists(PendingEntry.objects.filter(entry=OuterRef("pk")))).first()
    if lost is not None:
        return Fault(None, lost.pk, "is in no link and does not wait for one")
    late = unlinked.filter(at__lt=timezone.now() - _PATIENCE, count=1).first()
    if late is not None:
        return Fault(
            None, late.pk, "has waited over an hour for its link: is the sequencer running?"
        )
    return None
