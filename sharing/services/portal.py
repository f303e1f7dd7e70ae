"""What a reader keeps in the portal: the last patients, and named searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from sharing.errors import SavedSearchUnusable
from sharing.models import Person, RecentPatient, SavedSearch

if TYPE_CHECKING:
    from common.accounts.models import User

KEPT_RECENT = 20
MOST_SAVED = 30
LONGEST_NAME = 60
USUAL_ORDER = "-date"
# Filters that name nobody. Everything else of a search identifies a patient and is never stored.
SAVABLE = frozenset(
    {"period", "since", "until", "modality", "body_part", "institution_code", "state", "order"}
)


@transaction.atomic
def note_recent(*, actor: User, person: Person) -> None:
    """Put the person first among those whose time line this account opened last."""
    RecentPatient.objects.update_or_create(
        user=actor, person=person, defaults={"seen_at": timezone.now()}
    )
    kept = (
        RecentPatient.objects.filter(user=actor)
        .order_by("-seen_at", "-pk")
        .values_list("pk", flat=True)[:KEPT_RECENT]
    )
    RecentPatient.objects.filter(user=actor).exclude(pk__in=list(kept)).delete()


def clear_recent(*, actor: User) -> None:
    """Forget them all; the audit keeps what it has."""
    RecentPatient.objects.filter(user=actor).delete()


@transaction.atomic
def save_search(*, actor: User, name: str, filters: Mapping[str, str]) -> SavedSearch:
    """Keep the filters under a name; a name that is there already gets the new ones.

    Raises:
        SavedSearchUnusable: no name, nothing to keep, or too many are kept already.
    """
    plain = " ".join(name.replace("\x00", "").split())[:LONGEST_NAME]
    kept = {key: str(value) for key, value in filters.items() if key in SAVABLE and value}
    if kept.get("order") == USUAL_ORDER:
        del kept["order"]
    if not plain or not set(kept) - {"order"}:
        raise SavedSearchUnusable
    others = SavedSearch.objects.filter(user=actor).exclude(name=plain)
    if others.count() >= MOST_SAVED:
        raise SavedSearchUnusable
    saved, _ = SavedSearch.objects.update_or_create(
        user=actor, name=plain, defaults={"filters": kept}
    )
    return saved


def delete_search(*, actor: User, search_id: int) -> None:
    """Drop one of one's own; another's is left alone and nothing is said."""
    SavedSearch.objects.filter(user=actor, pk=search_id).delete()
