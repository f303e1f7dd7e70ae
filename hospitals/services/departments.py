"""Departments of an institution and who is in them, kept by its administrator."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common import audit
from hospitals import permissions
from hospitals.errors import CodeTaken, FieldInvalid
from hospitals.models import Department, DepartmentMember, Institution
from hospitals.permissions import Actor, Role

IN_DEPARTMENTS = (Role.RADIOLOGIST, Role.CLINICIAN)


@transaction.atomic
def add_department(*, actor: Actor, institution: Institution, name: str) -> Department:
    """Add a department, still without people.

    Raises:
        NotPermitted: the actor does not keep this institution's departments.
        FieldInvalid: the name cannot be used.
        CodeTaken: there is one of this name.
    """
    permissions.require(permissions.may_keep_departments(actor, institution_id=institution.pk))
    given = _name(name)
    # Two that add the same name queue here.
    Institution.objects.select_for_update(no_key=True).get(pk=institution.pk)
    _require_free(institution.pk, given)
    row = Department.objects.create(institution=institution, name=given)
    _record(actor, "department.add", row)
    return row


@transaction.atomic
def rename_department(*, actor: Actor, department: Department, name: str) -> None:
    """Give a department another name.

    Raises:
        NotPermitted, FieldInvalid, CodeTaken: as when it is added.
    """
    _require(actor, department)
    given = _name(name)
    Institution.objects.select_for_update(no_key=True).get(pk=department.institution_id)
    _require_free(department.institution_id, given, but=department.pk)
    Department.objects.filter(pk=department.pk).update(name=given)
    _record(actor, "department.rename", department)


@transaction.atomic
def close_department(*, actor: Actor, department: Department) -> None:
    """Take a department away: nobody is in it any more and nobody asks it; what it did stays.

    Raises:
        NotPermitted: the actor does not keep it.
    """
    _require(actor, department)
    DepartmentMember.objects.filter(department=department).delete()
    Department.objects.filter(pk=department.pk, closed_at=None).update(closed_at=timezone.now())
    _record(actor, "department.close", department)


@transaction.atomic
def join_department(*, actor: Actor, department: Department, user: AbstractBaseUser) -> None:
    """Put somebody who reads images at the institution into a department; again does nothing.

    Raises:
        NotPermitted: the actor does not keep it.
        FieldInvalid: the account has no such role there, or the department is closed.
    """
    _require(actor, department)
    at_work = permissions.memberships_in_force().filter(
        user_id=user.pk, institution_id=department.institution_id, role__in=IN_DEPARTMENTS
    )
    if department.closed_at is not None or not at_work.exists():
        raise FieldInvalid(
            _("Only radiologists and clinicians of the institution are in its departments.")
        )
    _row, created = DepartmentMember.objects.get_or_create(department=department, user_id=user.pk)
    if created:
        _record(actor, "department.join", department, user)


@transaction.atomic
def leave_department(*, actor: Actor, department: Department, user_id: int) -> None:
    """Take somebody out of a department; again does nothing.

    Raises:
        NotPermitted: the actor does not keep it.
    """
    _require(actor, department)
    row = DepartmentMember.objects.filter(department=department, user_id=user_id).first()
    if row is not None:
        _record(actor, "department.leave", department, row.user)
        row.delete()


def _require(actor: Actor, department: Department) -> None:
    permissions.require(
        permissions.may_keep_departments(actor, institution_id=department.institution_id)
    )


def _name(text: str) -> str:
    name = " ".join(text.replace("\x00", "").split())
    if not name or len(name) > 100:
        raise FieldInvalid(_("A department has a name of at most 100 characters."))
    return name


def _require_free(institution_id: int, name: str, *, but: int = 0) -> None:
    same = Department.objects.filter(institution_id=institution_id, name=name, closed_at=None)
    if same.exclude(pk=but).exists():
        raise CodeTaken(_("There is a department of this name already."))


def _record(
    actor: Actor, action: str, department: Department, user: AbstractBaseUser | None = None
) -> None:
    detail = {"user": user.pk} if user is not None else {}
    audit.record(
        actor, action, obj=department, institution_id=department.institution_id, detail=detail
    )
