"""Local patients become one person, and are taken apart again (policy section 4; ADR 0024).

Joining moves *every* local patient of the one person to the other, for what was decided is that two persons are one;
the moves are the events of one decision. Taking it back moves the same patients back, and only while they are where
the decision put them: so that what was before is restored exactly, and a later decision is taken back first. Persons
are never deleted: the key of one that was joined leads to the other (``selectors.persons``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from common import audit
from common.audit.services import Actor
from sharing.domain.likeness import Ground as Likewise
from sharing.domain.likeness import Likeness, Traits, compare, contradictions
from sharing.errors import AlreadyOnePerson, LaterLinkFirst, LinkTakenBack, ReasonRequired
from sharing.models import LinkCandidate, LinkEvent, LocalPatient, Person, Study

if TYPE_CHECKING:
    from common.accounts.models import User

Ground = LinkEvent.Ground
Kind = LinkEvent.Kind
LONGEST_REASON = 500
SYSTEM = "linking"
_BY_IDENTITY = (
    ("resident_id_hash", Ground.RESIDENT_ID),
    ("insurance_code_hash", Ground.INSURANCE_CODE),
    ("document_hash", Ground.DOCUMENT),
)


@transaction.atomic
def link(
    *, actor: Actor, patient: LocalPatient, to_person: Person, ground: str, reason: str = ""
) -> LinkEvent:
    """Make the person of ``patient`` one with ``to_person``: all its local patients move there.

    Raises:
        AlreadyOnePerson: they are one.
        LaterLinkFirst: the patient was moved meanwhile.
        ReasonRequired: a person decides and gives no reason.
    """
    by = _user_of(actor)
    reason = _reason(reason, needed=by is not None)
    _lock_persons(patient.person_id, to_person.pk)
    moving = _locked(LocalPatient.objects.filter(person=patient.person_id))
    here = next((each for each in moving if each.pk == patient.pk), None)
    if here is None:
        raise LaterLinkFirst
    if here.person_id == to_person.pk:
        raise AlreadyOnePerson
    moving.sort(key=lambda each: (each.pk != here.pk, each.pk))
    leader: LinkEvent | None = None
    for each in moving:
        event = LinkEvent.objects.create(
            kind=Kind.LINK,
            patient=each,
            from_person_id=here.person_id,
            to_person_id=to_person.pk,
            ground=ground,
            reason=reason,
            actor=by,
            leader=leader,
        )
        leader = leader or event
    _move([each.pk for each in moving], to_person.pk)
    _record(actor, "person.link", here, to_person.pk, ground=ground, count=len(moving))
    patient.person_id = to_person.pk
    if leader is None:
        raise AlreadyOnePerson
    return leader


@transaction.atomic
def unlink(*, actor: Actor, event: LinkEvent, reason: str) -> LinkEvent:
    """Take a link back with everything that moved by the same decision: all is as it was before.

    Raises:
        LinkTakenBack: it was, or it is itself the taking back of one.
        LaterLinkFirst: one of its patients has moved on since.
        ReasonRequired: a person decides and gives no reason.
    """
    by = _user_of(actor)
    reason = _reason(reason, needed=by is not None)
    _lock_persons(event.from_person_id, event.to_person_id)
    events = list(_of_one_decision(event))
    patients = _locked(LocalPatient.objects.filter(pk__in=[each.patient_id for each in events]))
    if event.kind != Kind.LINK or LinkEvent.objects.filter(undoes__in=events).exists():
        raise LinkTakenBack
    at = {each.pk: each.person_id for each in patients}
    if any(at[each.patient_id] != each.to_person_id for each in events):
        raise LaterLinkFirst
    leader: LinkEvent | None = None
    for each in events:
        undone = LinkEvent.objects.create(
            kind=Kind.UNLINK,
            patient_id=each.patient_id,
            from_person_id=each.to_person_id,
            to_person_id=each.from_person_id,
            ground=Ground.CORRECTION if by is None else each.ground,
            reason=reason,
            actor=by,
            leader=leader,
            undoes=each,
        )
        leader = leader or undone
    _move(list(at), events[0].from_person_id)
    _record(actor, "person.unlink", patients[0], events[0].from_person_id, count=len(events))
    if leader is None:
        raise LinkTakenBack
    return leader


def link_by_identity(patient: LocalPatient) -> None:
    """Join with those who carry the same resident ID, insurance person code or document; review what contradicts.

    Called by the writer of the identity, whose transaction holds the lock of each (``services.patients``).
    """
    for column, ground in _BY_IDENTITY:
        value = getattr(patient, column)
        if value is None:
            continue
        same = LocalPatient.objects.filter(**{column: value}).exclude(pk=patient.pk)
        for pk in list(same.order_by("person_id", "pk").values_list("pk", flat=True)):
            other = LocalPatient.objects.select_related("person").get(pk=pk)
            if (
                other.person_id != patient.person_id
            ):  # one that was joined before brings others along
                _join_or_review(patient, other, ground)


def take_back_by_identity(patient: LocalPatient, grounds: Iterable[str]) -> None:
    """An identity of this patient was wrong: what was joined because of it comes apart, where nothing came after.

    The others are then joined anew by what they carry themselves.
    """
    events = LinkEvent.objects.filter(
        kind=Kind.LINK, ground__in=list(grounds), undone_by=None, actor=None
    )
    mine = Q(patient=patient.pk) | Q(to_person=patient.person_id, leader=None)
    moved: dict[int, None] = {}
    for event in events.filter(mine).order_by("-pk"):
        try:
            unlink(actor=SYSTEM, event=event, reason="identity-corrected")
        except (LaterLinkFirst, LinkTakenBack):
            continue  # a reader has decided since, or it went with another of the same decision
        ids = _of_one_decision(event).values_list("patient_id", flat=True)
        moved.update(dict.fromkeys(pk for pk in ids if pk != patient.pk))
    for pk in moved:
        link_by_identity(LocalPatient.objects.select_related("person").get(pk=pk))


def traits_of(patient: LocalPatient) -> Traits:
    """What is compared of a patient."""
    return Traits(
        institution_id=patient.institution_id,
        issuer=patient.issuer,
        number=patient.number,
        name=patient.name,
        birth_date=patient.birth_date,
        sex=patient.sex,
        resident_id=_bytes(patient.resident_id_hash),
        insurance_code=_bytes(patient.insurance_code_hash),
        document=_bytes(patient.document_hash),
        phone=_bytes(patient.phone_hash),
    )


def add_candidate(one: LocalPatient, other: LocalPatient, likeness: Likeness) -> None:
    """Put a pair into the queue, or bring its score up to date; what was decided stays decided."""
    first, second = sorted((one.pk, other.pk))
    values = {"score": likeness.score, "grounds": [str(ground) for ground in likeness.grounds]}
    found, created = LinkCandidate.objects.get_or_create(
        first_id=first, second_id=second, defaults=values
    )
    if not created and found.state == LinkCandidate.State.OPEN:
        LinkCandidate.objects.filter(pk=found.pk).update(**values)


def _join_or_review(patient: LocalPatient, other: LocalPatient, ground: str) -> None:
    against = _contradictions(patient.person_id, other.person_id)
    apart = _were_taken_apart(patient, other)
    sure = ground != Ground.DOCUMENT or (
        # The number of a document has no checksum, and issuers number alike (policy P3).
        patient.birth_date is not None and patient.birth_date == other.birth_date
    )
    if sure and not against and not apart:
        older, newer = sorted((patient, other), key=lambda each: each.person_id)
        link(actor=SYSTEM, patient=newer, to_person=older.person, ground=ground)
        patient.refresh_from_db(fields=["person"])
        return
    found = compare(traits_of(patient), traits_of(other))
    more = [*against, *([Likewise.TAKEN_APART] if apart else [])]
    add_candidate(
        patient,
        other,
        Likeness(max(found.score, 60), tuple(dict.fromkeys([*found.grounds, *more]))),
    )


def _contradictions(one: int, other: int) -> list[Likewise]:
    """What speaks against it among all local patients of both persons."""
    found: dict[Likewise, None] = {}
    second = list(LocalPatient.objects.filter(person=other))
    for a in LocalPatient.objects.filter(person=one):
        for b in second:
            found.update(dict.fromkeys(contradictions(traits_of(a), traits_of(b))))
    return list(found)


def _were_taken_apart(one: LocalPatient, other: LocalPatient) -> bool:
    """A reader took these two, or their persons, apart, or said that they are two: the machine does not join them."""
    first, second = sorted((one.pk, other.pk))
    rejected = LinkCandidate.objects.filter(
        first=first, second=second, state=LinkCandidate.State.REJECTED
    )
    persons = [one.person_id, other.person_id]
    apart = LinkEvent.objects.filter(
        kind=Kind.UNLINK, from_person__in=persons, to_person__in=persons, actor__isnull=False
    )
    return rejected.exists() or apart.exists()


def lock_studies(patient_ids: Sequence[int]) -> None:
    """The studies of these patients, before the patients themselves."""
    studies = Study.objects.filter(local_patient__in=patient_ids).order_by("pk")
    list(studies.select_for_update(no_key=True).values_list("pk", flat=True))


def _of_one_decision(event: LinkEvent) -> QuerySet[LinkEvent]:
    leader = event.leader_id or event.pk
    return LinkEvent.objects.filter(Q(pk=leader) | Q(leader=leader)).order_by("pk")


def _lock_persons(*ids: int) -> None:
    """One decision at a time about a person; writers of the index are not kept waiting by this."""
    persons = Person.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    list(persons.values_list("pk", flat=True))


def _locked(patients: QuerySet[LocalPatient]) -> list[LocalPatient]:
    """Lock in the order study, patient, as the writers of the index do."""
    ids = list(patients.values_list("pk", flat=True))
    lock_studies(ids)
    rows = LocalPatient.objects.filter(pk__in=ids).order_by("pk")
    return list(rows.select_for_update(no_key=True))


def _move(patient_ids: Sequence[int], person_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE sharing_localpatient SET person_id = %s WHERE id = ANY(%s::bigint[])",
            [person_id, list(patient_ids)],
        )
        cursor.execute(
            "UPDATE sharing_study SET person_id = %s WHERE local_patient_id = ANY(%s::bigint[])",
            [person_id, list(patient_ids)],
        )


def _record(
    actor: Actor,
    action: str,
    patient: LocalPatient,
    to_person: int,
    *,
    count: int,
    ground: str = "",
) -> None:
    key = Person.objects.filter(pk=to_person).values_list("key", flat=True).first()
    audit.record(
        actor,
        action,
        patient,
        purpose="linking",
        person_key=key,
        detail={"ground": ground, "patients": count, "person": key},
    )


def _user_of(actor: Actor) -> User | None:
    return None if isinstance(actor, str) or actor is None else actor  # type: ignore[return-value]


def _reason(text: str, *, needed: bool) -> str:
    reason = " ".join(text.split())[:LONGEST_REASON]
    if needed and len(reason) < 2:
        raise ReasonRequired
    return reason


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
