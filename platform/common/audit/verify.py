"""Checking the chain: every link, every entry, every anchor, as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils import timezone

from common.audit import chain
from common.audit.anchors import StoredAnchor
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
    stored_anchors: int = 0  # of the object store that agree
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


def verify(stored: Iterable[StoredAnchor] | None = None) -> Verdict:
    """Run over the whole chain and stop at the first fault.

    ``stored`` are the anchors of the object store, where they are to be compared too.
    """
    verdict = Verdict()
    kept = {anchor.day: anchor for anchor in DailyAnchor.objects.all()}
    outside = None if stored is None else {anchor.day: anchor for anchor in stored}
    expected = _Expected(kept, outside or {})
    for item in linked_entries():
        verdict.fault = _fault_of(item, verdict)
        if verdict.fault is None:
            verdict.links, verdict.head = item.sequence, item.hash
            verdict.fault = expected.meet(item, verdict)
        if verdict.fault:
            return verdict
    verdict.fault = expected.left_over() or _without_link(verdict)
    if verdict.fault is None and outside is not None:
        verdict.fault = _one_sided(kept, outside)
    return verdict


class _Expected:
    """The anchors by the link that they were made of, inside and outside of the database."""

    def __init__(self, kept: dict[date, DailyAnchor], outside: dict[date, StoredAnchor]) -> None:
        self._places: dict[int, list[tuple[date, bytes, bool]]] = {}
        for anchors, is_outside in ((kept, False), (outside, True)):
            for anchor in anchors.values():
                place = self._places.setdefault(anchor.sequence, [])
                place.append((anchor.day, bytes(anchor.hash), is_outside))

    def meet(self, item: LinkedEntry, verdict: Verdict) -> Fault | None:
        """Compare a link with the anchors that were made of it."""
        for day, head, is_outside in self._places.pop(item.sequence, []):
            if head != item.hash:
                text = f"differs from the anchor of {day}{_where(is_outside)}"
                return Fault(item.sequence, item.entry_id, text)
            if is_outside:
                verdict.stored_anchors += 1
            else:
                verdict.anchors += 1
        return None

    def left_over(self) -> Fault | None:
        """The first anchor that no link came to."""
        for sequence, places in sorted(self._places.items()):
            day, _, is_outside = places[0]
            text = f"anchored on {day}{_where(is_outside)}, but the chain ends before it"
            return Fault(sequence, None, text)
        return None


def _where(is_outside: bool) -> str:
    return " in the object store" if is_outside else ""


def _one_sided(kept: dict[date, DailyAnchor], outside: dict[date, StoredAnchor]) -> Fault | None:
    """An anchor that stands on one side only; a new one gets an hour to be written outside."""
    for day in sorted(outside.keys() - kept.keys()):
        text = f"the anchor of {day} is in the object store and not in the database"
        return Fault(outside[day].sequence, None, text)
    for day in sorted(kept.keys() - outside.keys()):
        if kept[day].anchored_at < timezone.now() - _PATIENCE:
            text = f"the anchor of {day} is not in the object store"
            return Fault(kept[day].sequence, None, text)
    return None


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
