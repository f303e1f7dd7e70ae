"""The trail as the data office may read it: the commission the province, an institution's administrator its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q, QuerySet

from common.audit import search
from common.audit.models import AuditEntry
from common.audit.search import Branches, TrailPage, TrailSearch
from common.errors import NotFound, NotPermitted
from common.identifiers.resident_id import MalformedResidentId, parse_resident_id
from hospitals import selectors as hospitals
from sharing.domain.identities import phone_digits
from sharing.errors import IdentityMalformed, SearchTooLoose
from sharing.models import LinkEvent, LocalPatient, Person, Study
from sharing.permissions import Role
from sharing.selectors.identities import MaskedIdentity, identity_hash, masked_identity

if TYPE_CHECKING:
    from common.accounts.models import User

MOST_PERSONS = 50
_PROVINCE = frozenset({Role.COMMISSION})
_INSTITUTION = frozenset({Role.INSTITUTION_ADMIN})


@dataclass(frozen=True)
class Scope:
    """Whose actions an account may review: everybody's, or those at and upon its own institutions."""

    province: bool = False
    institutions: dict[int, str] = field(default_factory=dict)  # code by id

    def __bool__(self) -> bool:
        return self.province or bool(self.institutions)

    def branches(self) -> Branches:
        """Entries that may be read: each branch has its own index."""
        if self.province:
            return search.EVERYTHING
        if not self.institutions:
            return ()
        return (
            Q(actor_institution_code__in=sorted(self.institutions.values())),
            Q(institution_id__in=sorted(self.institutions)),
        )


def scope_of(actor: User) -> Scope:
    """What this account may review; nothing for most."""
    if not (actor.is_authenticated and actor.is_active):
        return Scope()
    held = hospitals.memberships_of(actor)
    if actor.is_superuser or any(each.role in _PROVINCE for each in held):
        return Scope(province=True)
    return Scope(
        institutions={
            each.institution_id: each.institution_code
            for each in held
            if each.role in _INSTITUTION and each.institution_id is not None
        }
    )


def require_scope(actor: User) -> Scope:
    """The scope of a reviewer.

    Raises:
        NotPermitted: the account reviews nothing.
    """
    scope = scope_of(actor)
    if not scope:
        raise NotPermitted("Your roles do not allow this.")
    return scope


def search_trail(
    *, scope: Scope, wanted: TrailSearch, after: str = "", size: int = search.PAGE
) -> TrailPage:
    """One page of entries, newest first."""
    return search.page_of(scope.branches(), wanted.condition(), after=after, size=size)


def export_trail(*, scope: Scope, wanted: TrailSearch, limit: int) -> Iterator[AuditEntry]:
    """Entries for a file, newest first."""
    return search.all_of(scope.branches(), wanted.condition(), limit=limit)


def get_entry(*, scope: Scope, entry_id: int) -> AuditEntry:
    """One entry.

    Raises:
        NotFound: there is none, or it is none of this reviewer's.
    """
    found = search.get_entry(scope.branches(), entry_id)
    if found is None:
        raise NotFound("There is no such entry.")
    return found


def names_of(actor_ids: Collection[int | None]) -> dict[int, str]:
    """How the accounts are called now, beside the names that were copied."""
    rows = get_user_model().objects.filter(pk__in={pk for pk in actor_ids if pk is not None})
    return {user.pk: str(user) for user in rows}


def account_id(name: str) -> int | None:
    """The number of an account, by which its entries are indexed; none for a job's or a command's name."""
    rows = get_user_model().objects.filter(username=name)
    return rows.values_list("pk", flat=True).first()


def condition_of_person(person: Person) -> Q:
    """The entries about a person, as far as it is linked now.

    Of a study: if the study is this person's now, whichever key the entry has. Of no study, or of one that is gone:
    by the key of the person, or of one that its patients were linked to before.
    """
    mine = Study.objects.filter(person=person)
    uids = list(mine.values_list("study_instance_uid", flat=True).distinct())
    of_others = Study.objects.filter(
        study_instance_uid=OuterRef("study_instance_uid"),
        institution_id=OuterRef("institution_id"),
    ).exclude(person=person)
    by_key = Q(person_key__in=keys_of(person)) & ~Q(Exists(of_others))
    return (
        Q(study_instance_uid__in=uids) & ~Q(study_instance_uid="") & ~Q(Exists(of_others)) | by_key
    )


def keys_of(person: Person) -> list[str]:
    """The person's key, and those that its patients had before they were linked here."""
    former = LinkEvent.objects.filter(patient__person=person).values_list(
        "from_person__key", flat=True
    )
    return sorted({person.key, *former})


def looks_at(
    *, scope: Scope, person: Person, after: str = "", size: int = search.PAGE
) -> TrailPage:
    """Who looked at this patient, newest first."""
    return search.page_of(scope.branches(), condition_of_person(person), after=after, size=size)


def all_looks_at(*, scope: Scope, person: Person, limit: int) -> list[AuditEntry]:
    """The same, for a sheet of paper."""
    return list(search.all_of(scope.branches(), condition_of_person(person), limit=limit))


@dataclass(frozen=True)
class Identity:
    """By what a patient is found who asks who looked. Exact; nothing of it may stand in an address."""

    resident_id: str = field(default="", repr=False)
    card: str = field(default="", repr=False)
    insurance_code: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    institution_code: str = ""

    @property
    def kinds(self) -> list[str]:
        """Which of them were given: what the audit may know."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name)]


@dataclass(frozen=True)
class FoundPerson:
    """A person as a reviewer finds it: masked."""

    key: str
    identities: tuple[tuple[str, MaskedIdentity], ...]  # institution's name, identity there


def find_persons(*, scope: Scope, identity: Identity) -> list[FoundPerson]:
    """The persons of an exact identity; for an institution's administrator those who are its patients.

    Raises:
        SearchTooLoose: nothing is given.
        IdentityMalformed: a resident ID that is none.
    """
    patients = LocalPatient.objects.filter(_condition(identity))
    if not scope.province:
        patients = patients.filter(institution_id__in=list(scope.institutions))
    ids = list(patients.values_list("person_id", flat=True).distinct()[:MOST_PERSONS])
    return [_found(scope, person) for person in Person.objects.filter(pk__in=ids).order_by("pk")]


def get_person(*, scope: Scope, key: str) -> Person:
    """A person by its key.

    Raises:
        NotFound: there is none, or it is no patient of the reviewer's institution.
    """
    person = Person.objects.filter(key=key).first()
    if person is None or not (scope.province or _known_patients(scope, person).exists()):
        raise NotFound("There is no such patient.")
    return person


def describe(*, scope: Scope, person: Person) -> FoundPerson:
    """The person as this reviewer may read it."""
    return _found(scope, person)


def _found(scope: Scope, person: Person) -> FoundPerson:
    rows = _known_patients(scope, person).select_related("institution").order_by("pk")[:20]
    return FoundPerson(
        person.key, tuple((row.institution.name, masked_identity(row)) for row in rows)
    )


def _known_patients(scope: Scope, person: Person) -> QuerySet[LocalPatient]:
    rows = LocalPatient.objects.filter(person=person)
    return rows if scope.province else rows.filter(institution_id__in=list(scope.institutions))


def _condition(identity: Identity) -> Q:
    found = Q()
    for name, value in (
        ("resident_id", _resident_id(identity.resident_id)),
        ("card", identity.card.strip()),
        ("insurance_code", identity.insurance_code.strip()),
        ("phone", phone_digits(identity.phone)),
    ):
        if value:
            found &= Q(**{f"{name}_hash": identity_hash(name, value)})
    if identity.number and identity.institution_code:
        found &= Q(number=identity.number.strip(), institution__code=identity.institution_code)
    if not found:
        raise SearchTooLoose
    return found


def _resident_id(text: str) -> str:
    if not text.strip():
        return ""
    try:
        return parse_resident_id(text.strip()).number
    except MalformedResidentId as error:
        raise IdentityMalformed(str(error), field="resident_id") from None
