"""What one reader keeps in the portal, as far as the right to see it still holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import F

from common.errors import NotFound
from sharing.models import RecentPatient, SavedSearch, Study
from sharing.selectors.studies import visible_studies

if TYPE_CHECKING:
    from common.accounts.models import User


@dataclass(frozen=True)
class Recent:
    """A patient looked at before. ``newest`` is none where no study may be seen any more: no name then."""

    key: str
    seen_at: datetime
    newest: Study | None


def list_recent(*, actor: User, limit: int = 20) -> list[Recent]:
    """The patients opened last, with the newest study of each that may be seen now; two queries."""
    rows = list(
        RecentPatient.objects.filter(user=actor)
        .select_related("person")
        .order_by("-seen_at", "-pk")[:limit]
    )
    if not rows:
        return []
    newest = {
        study.person_id: study
        for study in visible_studies(actor)
        .filter(person_id__in=[row.person_id for row in rows])
        .select_related("institution")
        .order_by("person_id", F("study_date").desc(nulls_last=True), "-id")
        .distinct("person_id")
    }
    return [Recent(row.person.key, row.seen_at, newest.get(row.person_id)) for row in rows]


def list_saved(*, actor: User) -> list[SavedSearch]:
    """Own searches by name."""
    return list(SavedSearch.objects.filter(user=actor))


def get_saved(*, actor: User, search_id: int) -> SavedSearch:
    """One of one's own.

    Raises:
        NotFound: there is none of this account.
    """
    found = SavedSearch.objects.filter(user=actor, pk=search_id).first()
    if found is None:
        raise NotFound("There is no such saved search.")
    return found
