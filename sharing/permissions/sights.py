"""What one account may see at this moment, and the decision on one study."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from common.kept import Kept
from sharing.permissions.bases import (
    DESK,
    LEFT,
    SEE_CONSORTIUM,
    SEE_OPERATION,
    SEE_OWN,
    SEES_NO_PARTNER,
    TREAT,
    Basis,
    strongest,
)
from sharing.permissions.conditions import Crowd, bases_of_crowd, basis_of_crowd
from sharing.permissions.grounds import Grounds, grounds_of
from sharing.permissions.slips import SlipHolder, studies_of_slip

if TYPE_CHECKING:
    from common.accounts.models import User
    from sharing.models import Study

# A withdrawn right works within five seconds (DESIGN section 7).
KEEP_S = 3.0


@dataclass(frozen=True)
class Sight:
    """What one account may see at this moment, by reason, and operational facts or not.

    ``own`` and ``consortium`` are institutions, all of whose studies it sees; ``persons`` and ``studies`` are seen
    wherever they are, but for persons' studies at institutions that ``left``; ``crowd`` stands for persons that are
    too many to be listed. ``only_person``: a launch, which reaches nobody else, whatever else the account sees.

    ``own_operation`` are the institutions whose states, counts and errors the account may read because it works
    there; ``operation`` allows it for the whole province, without any picture. ``treats`` are those where it treats
    patients and that share, ``desks`` those where it registers them by hand.
    """

    own: frozenset[int] = frozenset()
    consortium: frozenset[int] = frozenset()
    own_operation: frozenset[int] = frozenset()
    operation: bool = False
    treats: frozenset[int] = frozenset()
    desks: frozenset[int] = frozenset()
    persons: Mapping[int, Basis] = field(default_factory=dict)
    studies: Mapping[int, Basis] = field(default_factory=dict)
    crowd: Crowd | None = None
    left: frozenset[int] = frozenset()
    only_person: int | None = None
    # Those that are seen as a whole: none in a launch.
    institution_ids: frozenset[int] = field(init=False)
    _of_crowd: dict[int, Basis | None] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        whole = self.own | self.consortium if self.only_person is None else frozenset()
        object.__setattr__(self, "institution_ids", whole)

    @property
    def reaches_beyond(self) -> bool:
        """Whether institutions alone do not say what is seen."""
        return bool(self.persons or self.studies or self.crowd) or self.only_person is not None

    @property
    def sees_something(self) -> bool:
        """Whether there may be any study to be seen."""
        return bool(self.institution_ids) or self.reaches_beyond

    def basis_at(self, institution_id: int) -> Basis | None:
        """The strongest reason to see all that this institution holds; none when there is none."""
        return self._basis_at(institution_id) if self.only_person is None else None

    def basis_of(
        self, *, study_id: int, institution_id: int, person_id: int | None
    ) -> Basis | None:
        """The strongest reason to see this study; none when there is none."""
        if self.only_person is not None and person_id != self.only_person:
            return None
        found = self._basis_at(institution_id)
        if found is not None:
            return found
        of_person = None
        if person_id is not None and institution_id not in self.left:
            of_person = strongest(self.persons.get(person_id), self._basis_of_crowd(study_id))
        return strongest(of_person, self.studies.get(study_id))

    def basis_of_person(self, person_id: int) -> Basis | None:
        """The strongest reason to see this person's studies wherever they are; none of a narrowed one."""
        if self.only_person not in (None, person_id):
            return None
        listed = self.persons.get(person_id)
        return strongest(listed, basis_of_crowd(self.crowd, person_id) if self.crowd else None)

    def learn(self, study_ids: Collection[int]) -> None:
        """Ask in one query what ``basis_of`` would ask for each of these studies."""
        if self.crowd is not None:
            unknown = [each for each in study_ids if each not in self._of_crowd]
            if unknown:
                self._of_crowd.update(bases_of_crowd(self.crowd, unknown))

    def _basis_at(self, institution_id: int) -> Basis | None:
        if institution_id in self.own:
            return Basis.OWN_INSTITUTION
        if institution_id in self.consortium:
            return Basis.CONSORTIUM_AGREEMENT
        return None

    def _basis_of_crowd(self, study_id: int) -> Basis | None:
        self.learn([study_id])
        return self._of_crowd.get(study_id)


@dataclass(frozen=True)
class Decision:
    """May it be seen, and on what basis."""

    basis: Basis | None

    def __bool__(self) -> bool:
        return self.basis is not None


NOTHING = Sight()
_kept: Kept[int | str, Sight] = Kept(entries=10_000, keep_s=KEEP_S)


def decide(actor: User | SlipHolder, study: Study) -> Decision:
    """The one access decision. Commission, auditors and operators see no pictures."""
    return Decision(
        sight_of(actor).basis_of(
            study_id=study.pk, institution_id=study.institution_id, person_id=study.person_id
        )
    )


def sight_of(actor: User | SlipHolder) -> Sight:
    """What ``actor`` may see, at most ``KEEP_S`` seconds old; nothing for strangers.

    ``actor.launch_person_id``, set by the session of a launch, narrows it to that person.
    """
    if not (actor.is_authenticated and actor.is_active):
        return NOTHING
    sight = _kept.get(actor.pk)
    if sight is None:
        sight = _look(actor)
        _kept.put(actor.pk, sight)
    launched = launch_of(actor)
    return sight if launched is None else _narrowed(sight, launched)


def launch_of(actor: User | SlipHolder) -> int | None:
    """The only person of the launch that ``actor`` came by; none for everybody else."""
    found: int | None = getattr(actor, "launch_person_id", None)
    return found


def viewer_key(actor: User | SlipHolder) -> Hashable:
    """Under what answers to this account may be kept: a launch of it sees less."""
    return actor.pk, launch_of(actor)


def forget_sights() -> None:
    """Decide anew at the next request, in this process; others follow within ``KEEP_S``."""
    _kept.clear()


def _narrowed(sight: Sight, person_id: int) -> Sight:
    """A launch opens one patient's examinations and no page of the operation."""
    nowhere: frozenset[int] = frozenset()
    return replace(
        sight,
        only_person=person_id,
        own_operation=nowhere,
        operation=False,
        treats=nowhere,
        desks=nowhere,
    )


def _look(actor: User | SlipHolder) -> Sight:
    if isinstance(actor, SlipHolder):
        return Sight(studies=studies_of_slip(actor.slip_id))
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
    homes = {
        at
        for role, at, home, *_ in rows
        if role in TREAT and at is not None and home not in SEES_NO_PARTNER
    }
    grounds = grounds_of(actor.pk, homes) if homes else Grounds()
    return _with(
        Sight(
            own=own,
            consortium=partners - own,
            own_operation=own,
            operation=actor.is_superuser or any(role in SEE_OPERATION for role, *_ in rows),
            treats=frozenset(homes),
            desks=frozenset(at for role, at, *_ in rows if role in DESK and at is not None),
        ),
        grounds,
        actor.pk,
    )


def _with(sight: Sight, grounds: Grounds, user_id: int) -> Sight:
    crowd = grounds.crowd(user_id)
    if not (grounds.persons or grounds.studies or crowd):
        return sight
    return replace(
        sight,
        persons=grounds.persons,
        studies=grounds.studies,
        crowd=crowd,
        left=grounds.left,
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
