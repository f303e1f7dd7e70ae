"""Unusual access is found along the audit chain, a piece at a time, and reviewed by people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from common import audit
from common.audit.actions import looking
from common.audit.models import AuditEntry, ChainLink
from common.errors import NotPermitted
from sharing.domain.unusual import Look, bursts, is_odd_hour, same_family
from sharing.errors import AlreadySettled, NoteMissing
from sharing.models import Consent, EmergencyAccess, Encounter, LocalPatient
from sharing.models.unusual import AccessFinding, ReviewPosition
from sharing.permissions import Basis

if TYPE_CHECKING:
    from common.accounts.models import User

Kind = AccessFinding.Kind
State = AccessFinding.State
PIECE = 5_000
_CHAIN = "chain"
SHORTLY = timedelta(milliseconds=1)  # behind the last look of a finding
_REGISTERED = frozenset({Basis.ENCOUNTER, Basis.CONSENT})


@dataclass(frozen=True)
class _Person:
    """What the rules need to know of a person."""

    names: tuple[str, ...] = ()
    is_staff: bool = False


def find_unusual(*, piece: int = PIECE) -> int:
    """Read on in the chain and note what is unusual; returns how many entries were read. Again finds nothing twice."""
    total = 0
    while read := _read_piece(piece):
        total += read
    note_emergencies()
    return total


@transaction.atomic
def _read_piece(piece: int) -> int:
    ReviewPosition.objects.get_or_create(name=_CHAIN)
    position = ReviewPosition.objects.select_for_update(no_key=True).get(name=_CHAIN)
    links = list(
        ChainLink.objects.filter(sequence__gt=position.sequence)
        .order_by("sequence")
        .values_list("sequence", "entry_id")[:piece]
    )
    if not links:
        return 0
    entries = list(_looks().filter(pk__in=[entry for _, entry in links]).order_by("at", "pk"))
    _judge(entries)
    position.sequence = links[-1][0]
    position.save(update_fields=["sequence"])
    return len(links)


def _looks() -> QuerySet[AuditEntry]:
    """Entries by which an account saw a patient's data."""
    return AuditEntry.objects.filter(
        action__in=looking(), actor_kind="user", result="success"
    ).exclude(person_key="")


def _judge(entries: Sequence[AuditEntry]) -> None:
    people = get_user_model().objects.filter(is_system=False)
    actors = people.in_bulk({entry.actor_id for entry in entries if entry.actor_id is not None})
    ours = [entry for entry in entries if entry.actor_id in actors]
    persons = _persons({entry.person_key for entry in ours})
    by_look: dict[tuple[int, str, str], list[AuditEntry]] = defaultdict(list)
    for entry in ours:
        by_look[_actor_id(entry), entry.person_key, _day(entry)].append(entry)
    for (actor_id, key, day), group in by_look.items():
        person = persons.get(key, _Person())
        _judge_person(_name_of(actors[actor_id]), person, group, f"{actor_id}/{key}", day)
    _judge_grounds(by_look)
    for actor_id in {_actor_id(entry) for entry in ours}:
        _judge_speed(actor_id, [entry for entry in ours if entry.actor_id == actor_id])


def _judge_person(
    actor_name: str, person: _Person, group: list[AuditEntry], subject: str, day: str
) -> None:
    unusual = settings.AUDIT.unusual
    if any(same_family(actor_name, each, left_out=unusual.names_left_out) for each in person.names):
        # Of one family name once a month: a reader meets the same patient again and again.
        _note(Kind.FAMILY_NAME, f"{subject}/{day[:7]}", group)
    if person.is_staff:
        _note(Kind.STAFF_RECORD, f"{subject}/{day}", group)
    odd = [
        entry
        for entry in group
        if is_odd_hour(timezone.localtime(entry.at).hour, unusual.odd_hours)
    ]
    if odd:
        _note(Kind.ODD_HOURS, f"{subject}/{day}", odd)


def _judge_grounds(by_look: dict[tuple[int, str, str], list[AuditEntry]]) -> None:
    """Who sees another hospital's patient by what they wrote down themselves: an emergency access without a review
    would be as easy to have. Once a month for each patient, as for one's own family name."""
    asked = {
        (actor_id, key, day): found
        for (actor_id, key, day), group in by_look.items()
        if (found := [each for each in group if _REGISTERED & set(each.basis.split(","))])
    }
    if not asked:
        return
    actors, keys = {actor for actor, _, _ in asked}, {key for _, key, _ in asked}
    of_patient = Q(patient__person__key__in=keys)
    mine = {
        *Encounter.objects.filter(
            of_patient, registered_by__in=actors, source=Encounter.Source.DESK
        ).values_list("registered_by", "patient__person__key"),
        *Consent.objects.filter(of_patient, recorded_by__in=actors).values_list(
            "recorded_by", "patient__person__key"
        ),
    }
    for (actor_id, key, day), group in asked.items():
        if (actor_id, key) in mine:
            _note(Kind.OWN_GROUND, f"{actor_id}/{key}/{day[:7]}", group)


def _judge_speed(actor_id: int, entries: list[AuditEntry]) -> None:
    """Many patients in a short time, together with what was read before this piece."""
    unusual = settings.AUDIT.unusual
    within = timedelta(minutes=unusual.minutes)
    around = _looks().filter(
        actor_id=actor_id, at__gt=entries[0].at - within, at__lt=entries[-1].at + within
    )
    every = list(around.order_by("at", "pk"))
    looks = [Look(actor_id, entry.person_key, entry.at) for entry in every]
    for burst in bursts(looks, patients=unusual.patients, within=within):
        group = [entry for entry in every if burst.first_at <= entry.at <= burst.last_at]
        day = _day(group[0])
        _note(Kind.MANY_PATIENTS, f"{actor_id}/{day}", group, patients=len(burst.persons))


def _note(
    kind: AccessFinding.Kind,
    subject: str,
    group: Sequence[AuditEntry],
    *,
    patients: int | None = None,
) -> None:
    """A new finding; or one more look for a finding that is open. What was reviewed stays as it was."""
    first, last = group[0], group[-1]
    looks = sum(entry.count for entry in group)
    places = sorted({entry.institution_id for entry in group if entry.institution_id is not None})
    bases = sorted({entry.basis for entry in group if entry.basis})
    finding, created = AccessFinding.objects.get_or_create(
        kind=kind,
        subject=subject,
        defaults={
            "actor_id": _actor_id(first),
            "actor_institution_code": first.actor_institution_code,
            "actor_institution_name": first.actor_institution_name,
            "person_key": "" if patients is not None else first.person_key,
            "institution_ids": places,
            "first_at": first.at,
            "last_at": last.at,
            "count": looks if patients is None else patients,
            "bases": bases,
        },
    )
    if created or finding.state != State.OPEN:
        return
    finding.first_at = min(finding.first_at, first.at)
    finding.last_at = max(finding.last_at, last.at)
    finding.count = finding.count + looks if patients is None else max(finding.count, patients)
    finding.institution_ids = sorted({*finding.institution_ids, *places})
    finding.bases = sorted({*finding.bases, *bases})
    finding.save()


def note_emergencies() -> int:
    """A finding for each emergency access that has none; one that was reviewed already is noted as such."""
    rows = EmergencyAccess.objects.filter(finding__isnull=True).select_related(
        "institution", "person"
    )
    noted = 0
    for row in rows.order_by("pk")[:PIECE]:
        try:
            with transaction.atomic():
                AccessFinding.objects.create(**_of_emergency(row))
                noted += 1
        except IntegrityError:
            continue  # another process was faster
    return noted


def _of_emergency(row: EmergencyAccess) -> dict[str, object]:
    return {
        "kind": Kind.EMERGENCY,
        "subject": str(row.pk),
        "emergency": row,
        "actor_id": row.user_id,
        "actor_institution_code": row.institution.code,
        "actor_institution_name": row.institution.name,
        "person_key": row.person.key,
        "institution_ids": [row.institution_id],
        "first_at": row.started_at,
        "last_at": row.ended_at or row.expires_at,
        "bases": ["emergency"],
        "state": row.verdict or State.OPEN,
        "reviewed_at": row.reviewed_at,
        "reviewed_by_id": row.reviewed_by_id,
        "note": row.review_note,
    }


@transaction.atomic
def review(*, actor: User, finding: AccessFinding, justified: bool, note: str) -> AccessFinding:
    """Decide one finding, with a note that says why; of an emergency access the access too.

    Raises:
        NotPermitted: it is the reviewer's own access.
        NoteMissing: nothing was written.
        AlreadySettled: somebody has decided it.
    """
    if finding.actor_id == actor.pk:
        raise NotPermitted(_("Nobody reviews their own access."))
    note = note.strip()[:500]
    if not note:
        raise NoteMissing
    row = AccessFinding.objects.select_for_update(no_key=True).get(pk=finding.pk)
    if row.state != State.OPEN:
        raise AlreadySettled
    row.state = State.JUSTIFIED if justified else State.ABUSE
    row.reviewed_at, row.reviewed_by, row.note = timezone.now(), actor, note
    row.save(update_fields=["state", "reviewed_at", "reviewed_by", "note"])
    if row.emergency_id is not None:
        EmergencyAccess.objects.filter(pk=row.emergency_id, reviewed_at=None).update(
            reviewed_at=row.reviewed_at, reviewed_by=actor, verdict=row.state, review_note=note
        )
    audit.record(
        actor,
        "audit.review",
        object_type="sharing.accessfinding",
        object_id=row.pk,
        purpose=row.kind,
        person_key=row.person_key,
        detail={"state": row.state, "of": row.actor_id},
    )
    return row


def _persons(keys: Iterable[str]) -> dict[str, _Person]:
    names: dict[str, set[str]] = defaultdict(set)
    staff: set[str] = set()
    rows = LocalPatient.objects.filter(person__key__in=set(keys))
    for key, name, is_staff in rows.values_list(F("person__key"), "name", "is_staff"):
        names[key].add(name)
        if is_staff:
            staff.add(key)
    return {key: _Person(tuple(sorted(found)), key in staff) for key, found in names.items()}


def _name_of(user: AbstractBaseUser) -> str:
    """The account's name, the family name first where the account says which it is."""
    family = getattr(user, "last_name", "")
    given = getattr(user, "first_name", "")
    return f"{family} {given}".strip()


def _actor_id(entry: AuditEntry) -> int:
    return entry.actor_id or 0


def _day(entry: AuditEntry) -> str:
    return timezone.localtime(entry.at).date().isoformat()
