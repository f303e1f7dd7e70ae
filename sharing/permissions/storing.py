"""Into which institutions an account may store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from common.kept import Kept
from sharing.permissions.bases import Role
from sharing.permissions.sights import KEEP_S

if TYPE_CHECKING:
    from common.accounts.models import User


@dataclass(frozen=True)
class StoreTarget:
    """An institution that an account may store into: everything, or only what readers derive."""

    institution_id: int
    institution_code: str
    institution_state: str
    character_set: str
    derived_only: bool


STORE_ALL = frozenset({Role.INTEGRATOR})
STORE_DERIVED = frozenset({Role.INSTITUTION_ADMIN, Role.RADIOLOGIST, Role.CLINICIAN})
_kept_targets: Kept[int, tuple[StoreTarget, ...]] = Kept(entries=10_000, keep_s=KEEP_S)


def store_targets(actor: User) -> tuple[StoreTarget, ...]:
    """The institutions that ``actor`` may store into, at most ``KEEP_S`` seconds old."""
    if not (actor.is_authenticated and actor.is_active):
        return ()
    targets = _kept_targets.get(actor.pk)
    if targets is None:
        targets = _look_for_targets(actor)
        _kept_targets.put(actor.pk, targets)
    return targets


def forget_targets() -> None:
    """Decide anew at the next request, in this process."""
    _kept_targets.clear()


def _look_for_targets(actor: User) -> tuple[StoreTarget, ...]:
    today = timezone.localdate()
    rows = actor.memberships.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=today),
        valid_from__lte=today,
        role__in=STORE_ALL | STORE_DERIVED,
        institution__isnull=False,
    ).values_list(
        "role",
        "institution_id",
        "institution__code",
        "institution__state",
        "institution__endpoint__character_set",
    )
    best: dict[int, StoreTarget] = {}
    for role, pk, code, state, character_set in rows:
        if pk not in best or role in STORE_ALL:
            best[pk] = StoreTarget(pk, code, state, character_set or "", role not in STORE_ALL)
    return tuple(best[pk] for pk in sorted(best))
