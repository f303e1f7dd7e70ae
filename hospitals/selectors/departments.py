"""Departments: of one institution for its administrator, and as a directory of whom one may ask for advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils.translation import gettext as _

from common.errors import NotFound
from hospitals.models import Department, DepartmentMember, Institution, Membership
from hospitals.permissions import RoleAt, may_keep_departments, roles_of, today

ADVISERS = (Membership.Role.RADIOLOGIST, Membership.Role.CLINICIAN)
_AT_WORK = (Institution.State.ACTIVE, Institution.State.ONBOARDING)


@dataclass(frozen=True)
class Colleague:
    """Somebody in a department, as others find them."""

    user_id: int
    name: str


@dataclass(frozen=True)
class DepartmentEntry:
    """A department with those of its people who have a role there today."""

    department_id: int
    institution_id: int
    name: str
    colleagues: tuple[Colleague, ...]


def get_department(*, actor: Any, department_id: int) -> Department:
    """One department that the actor keeps.

    Raises:
        NotFound: there is none, or it is not the actor's to keep.
    """
    row = Department.objects.select_related("institution").filter(pk=department_id).first()
    if row is None or not may_keep_departments(actor, institution_id=row.institution_id):
        raise NotFound(_("There is no such department."))
    return row


def list_departments(*, institution_id: int) -> list[DepartmentEntry]:
    """The departments of an institution that are not closed, by name, empty ones too. Two queries."""
    rows = _with_people(Department.objects.filter(institution_id=institution_id, closed_at=None))
    return [_entry(row) for row in rows]


def find_department(*, department_id: int) -> DepartmentEntry | None:
    """One department that is not closed, for whoever asks it or is in it."""
    rows = _with_people(Department.objects.filter(pk=department_id, closed_at=None))
    return next((_entry(row) for row in rows), None)


def department_ids_of(*, user_id: int) -> frozenset[int]:
    """The departments an account is in today, where it also has a role at their institution."""
    return frozenset(_people().filter(user_id=user_id).values_list("department_id", flat=True))


def advising_institutions() -> QuerySet[Institution]:
    """Institutions that can be asked for advice: at work, with somebody in a department. Names, no operation."""
    people = _people().filter(department__institution_id=OuterRef("pk"), department__closed_at=None)
    return Institution.objects.filter(Exists(people)).filter(state__in=_AT_WORK).order_by("code")


def may_share(*, institution_id: int) -> bool:
    """Whether an institution asks and answers others: neither suspended nor gone (policy I5)."""
    return Institution.objects.filter(pk=institution_id, state__in=_AT_WORK).exists()


def places_of_advisers(user: Any) -> dict[int, RoleAt]:
    """Where an account reads images and so may ask and advise: by institution. One query."""
    return {
        held.institution_id: held
        for held in roles_of(user)
        if held.role in ADVISERS and held.institution_id is not None
    }


def _people() -> QuerySet[DepartmentMember]:
    at_work = Membership.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=today()),
        user_id=OuterRef("user_id"),
        institution_id=OuterRef("department__institution_id"),
        role__in=ADVISERS,
        valid_from__lte=today(),
    )
    return DepartmentMember.objects.filter(Exists(at_work), user__is_active=True)


def _with_people(rows: QuerySet[Department]) -> QuerySet[Department]:
    people = _people().select_related("user").order_by("user__first_name", "user__username")
    return rows.prefetch_related(Prefetch("members", people))


def _entry(row: Department) -> DepartmentEntry:
    return DepartmentEntry(
        department_id=row.pk,
        institution_id=row.institution_id,
        name=row.name,
        colleagues=tuple(Colleague(each.user_id, str(each.user)) for each in row.members.all()),
    )
