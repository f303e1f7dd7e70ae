"""Reading the trail: newest first, page by page by key, so that a page costs the same in millions of entries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice

from django.db.models import Q

from common.audit.models import AuditEntry

PAGE = 50
_PIECE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(\d{1,16})-(\d{1,18})")


@dataclass(frozen=True)
class TrailSearch:
    """What is looked for; nothing of it says who a patient is."""

    since: datetime | None = None
    until: datetime | None = None  # exclusive
    actor: str = ""  # the name that was copied of what is no account: a job, a command
    actor_id: int | None = None
    workplace: str = ""  # code of the actor's institution
    institution_id: int | None = None
    action: str = ""
    basis: str = ""
    result: str = ""
    person_key: str = ""
    study_instance_uid: str = ""

    def condition(self) -> Q:
        """As a condition on entries."""
        found = Q()
        for name, value in (
            ("at__gte", self.since),
            ("at__lt", self.until),
            ("actor_name", self.actor),
            ("actor_id__isnull", True if self.actor else None),  # few, and the index finds them
            ("actor_id", self.actor_id),
            ("actor_institution_code", self.workplace),
            ("institution_id", self.institution_id),
            ("action", self.action),
            ("basis", self.basis),
            ("result", self.result),
            ("person_key", self.person_key),
            ("study_instance_uid", self.study_instance_uid),
        ):
            if value not in ("", None):
                found &= Q(**{name: value})
        return found


# What a reader may see: entries that meet one of these. Each is asked by itself, so that each has its index.
Branches = Sequence[Q]
EVERYTHING: Branches = (Q(),)


@dataclass(frozen=True)
class TrailPage:
    """Entries, newest first; ``following`` leads to the next page, empty where there is none."""

    entries: list[AuditEntry]
    following: str = ""


class BadCursor(ValueError):
    """The place to go on from is none of ours."""


def page_of(branches: Branches, condition: Q, *, after: str = "", size: int = PAGE) -> TrailPage:
    """One page. Entries that come meanwhile do not shift it.

    Raises:
        BadCursor: ``after`` is no ``following``.
    """
    found = _read(branches, condition & _behind(after), size + 1)
    entries = found[:size]
    return TrailPage(entries, cursor_of(entries[-1]) if len(found) > size else "")


def count_of(branches: Branches, condition: Q) -> int:
    """How many there are."""
    if not branches:
        return 0
    return AuditEntry.objects.filter(condition).filter(_any(branches)).count()


def all_of(branches: Branches, condition: Q, *, limit: int) -> Iterator[AuditEntry]:
    """Up to ``limit`` entries, newest first, in constant memory."""
    after = ""
    while limit > 0:
        page = page_of(branches, condition, after=after, size=min(_PIECE, limit))
        yield from page.entries
        limit -= len(page.entries)
        after = page.following
        if not after:
            return


def get_entry(branches: Branches, entry_id: int) -> AuditEntry | None:
    """One entry, if it is among those that may be seen."""
    if not branches:
        return None
    rows = AuditEntry.objects.select_related("link").filter(pk=entry_id)
    return rows.filter(_any(branches)).first()


def cursor_of(entry: AuditEntry) -> str:
    """The place behind an entry."""
    # Whole numbers: a float has too few digits for microseconds.
    return f"{(entry.at - _EPOCH) // timedelta(microseconds=1)}-{entry.pk}"


def _any(branches: Branches) -> Q:
    if Q() in branches:
        return Q()
    allowed = Q()
    for branch in branches:
        allowed |= branch
    return allowed


def _behind(after: str) -> Q:
    if not after:
        return Q()
    found = _CURSOR.fullmatch(after)
    if found is None:
        raise BadCursor(after)
    micros, pk = int(found[1]), int(found[2])
    try:
        at = _EPOCH + timedelta(microseconds=micros)
    except OverflowError as error:
        raise BadCursor(after) from error
    # "at <= …" alone walks the index; the rest takes away those of the same instant that were shown.
    return Q(at__lte=at) & ~Q(at=at, pk__gte=pk)


def _read(branches: Branches, condition: Q, size: int) -> list[AuditEntry]:
    parts = [
        list(AuditEntry.objects.filter(branch, condition).order_by("-at", "-pk")[:size])
        for branch in branches
    ]
    ordered = merge(*parts, key=lambda entry: (entry.at, entry.pk), reverse=True)
    unique = {entry.pk: entry for entry in ordered}
    return list(islice(unique.values(), size))
