"""Who may see which examination, decided in one place, with the reason that goes into the audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from common.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.accounts.models import User
    from sharing.models import Study

# A withdrawn right works within five seconds (DESIGN section 7).
KEEP_S = 3.0


class Basis(StrEnum):
    """Why an examination may be seen. The value is what the audit keeps."""

    OWN_INSTITUTION = "own-institution"
    CONSORTIUM_AGREEMENT = "consortium-agreement"


class Role(StrEnum):
    """The roles of ``hospitals`` that decide here; the values are those of its memberships."""

    COMMISSION = "commission"
    INSTITUTION_ADMIN = "institution_admin"
    RADIOLOGIST = "radiologist"
    CLINICIAN = "clinician"
    INTEGRATOR = "integrator"
    AUDITOR = "auditor"
    OPERATOR = "operator"


SEE_OWN = frozenset({Role.INSTITUTION_ADMIN, Role.RADIOLOGIST, Role.CLINICIAN, Role.INTEGRATOR})
SEE_CONSORTIUM = frozenset({Role.RADIOLOGIST, Role.CLINICIAN, Role.INTEGRATOR})
SEE_OPERATION = frozenset({Role.COMMISSION, Role.OPERATOR})
# An institution that left the province neither shares nor is shared with. Of a suspended one (policy I5: a breach
# of what was agreed) nothing is taken from its partners' patients: what it holds stays visible to them, but its own
# people see no partner's. Either way they still see their own.
LEFT = "left"
SEES_NO_PARTNER = frozenset({LEFT, "suspended"})


@dataclass(frozen=True)
class Sight:
    """What one account may see at this moment: institutions by basis, and operational facts or not.

    ``own_operation`` are the institutions whose states, counts and errors the account may read
    because it works there; ``operation`` allows it for the whole province, without any picture.
    """

    own: frozenset[int] = frozenset()
    consortium: frozenset[int] = frozenset()
    own_operation: frozenset[int] = frozenset()
    operation: bool = False
    institution_ids: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "institution_ids", self.own | self.consortium)

    def basis_at(self, institution_id: int) -> Basis | None:
        """The strongest reason to see what this institution holds; none when there is none."""
        if institution_id in self.own:
            return Basis.OWN_INSTITUTION
        if institution_id in self.consortium:
            return Basis.CONSORTIUM_AGREEMENT
        return None


@dataclass(frozen=True)
class Decision:
    """May it be seen, and on what basis."""

    basis: Basis | None

    def __bool__(self) -> bool:
        return self.basis is not None


NOTHING = Sight()
_kept: Kept[int, Sight] = Kept(entries=10_000, keep_s=KEEP_S)


def decide(actor: User, study: Study) -> Decision:
    """The one access decision. Commission, auditors and operators see no pictures."""
    return Decision(sight_of(actor).basis_at(study.institution_id))


def sight_of(actor: User) -> Sight:
    """What ``actor`` may see, at most ``KEEP_S`` seconds old; nothing for strangers."""
    if not (actor.is_authenticated and actor.is_active):
        return NOTHING
    sight = _kept.get(actor.pk)
    if sight is None:
        sight = _look(actor)
        _kept.put(actor.pk, sight)
    return sight


def forget_sights() -> None:
    """Decide anew at the next request, in this process; others follow within ``KEEP_S``."""
    _kept.clear()
    _kept_targets.clear()


def _look(actor: User) -> Sight:
    rows = list(_memberships_in_force(actor))
    own = frozenset(at for role, at, *_ in rows if role in SEE_OWN and at is not None)
    partners = frozenset(
        partner
        for role, _, home, partner, state in rows
        if role in SEE_CONSORTIUM
        and partner is not None
        and home not in SEES_NO_PARTNER
        and state != LEFT
    )
    return Sight(
        own=own,
        consortium=partners - own,
        own_operation=own,
        operation=actor.is_superuser or any(role in SEE_OPERATION for role, *_ in rows),
    )


def _memberships_in_force(
    actor: User,
) -> Iterable[tuple[str, int | None, str | None, int | None, str | None]]:
    """(role, institution, its state, institution of the same consortium, its state), in one query."""
    today = timezone.localdate()
    return actor.memberships.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=today), valid_from__lte=today
    ).values_list(
        "role",
        "institution_id",
        "institution__state",
        "institution__consortium__institutions__id",
        "institution__consortium__institutions__state",
    )


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
