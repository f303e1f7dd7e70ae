"""What those who keep an institution's archive see and decide: cases, deletions, legal holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from common.errors import NotFound
from hospitals import selectors as hospitals
from sharing.models import Deletion, LegalHold, Quarantined
from sharing.permissions import Role, sight_of

if TYPE_CHECKING:
    from common.accounts.models import User


def keeps(actor: User, institution_id: int) -> bool:
    """Whether an account decides about what is kept of an institution: its administrator, or who runs the province."""
    if sight_of(actor).operation:
        return True
    return any(
        held.role == Role.INSTITUTION_ADMIN and held.institution_id == institution_id
        for held in hospitals.memberships_of(actor)
    )


def may_delete(actor: User, institution_id: int) -> bool:
    """Whether an account may delete studies on a page: the institution's own administrator, nobody above."""
    return any(
        held.role == Role.INSTITUTION_ADMIN and held.institution_id == institution_id
        for held in hospitals.memberships_of(actor)
    )


def may_release(actor: User) -> bool:
    """Whether an account may release a legal hold: the province, since the hospital may be a party of the case."""
    return sight_of(actor).operation


def list_cases(*, institution_id: int, state: str = "", reason: str = "") -> QuerySet[Quarantined]:
    """The quarantine cases of an institution, newest first."""
    rows = Quarantined.objects.filter(institution_id=institution_id).select_related("institution")
    if state in Quarantined.State.values:
        rows = rows.filter(state=state)
    if reason in Quarantined.Reason.values:
        rows = rows.filter(reason=reason)
    return rows.order_by("-last_at", "-pk")


def list_deletions(*, institution_id: int) -> QuerySet[Deletion]:
    """The deletions of an institution, those that can be undone first, then the newest."""
    rows = Deletion.objects.filter(institution_id=institution_id).select_related("institution")
    return rows.order_by("lifted_at", "purged_at", "-deleted_at", "-pk")


def get_deletion(*, actor: User, deletion_id: int) -> Deletion:
    """One deletion that the actor may undo.

    Raises:
        NotFound: there is none, or its institution is not the actor's to keep.
    """
    row = Deletion.objects.select_related("institution").filter(pk=deletion_id).first()
    if row is None or not keeps(actor, row.institution_id):
        raise NotFound("There is no such deletion.")
    return row


def list_holds(*, institution_id: int) -> QuerySet[LegalHold]:
    """The legal holds of an institution, those in force first."""
    rows = LegalHold.objects.filter(institution_id=institution_id).select_related("institution")
    return rows.order_by("released_at", "-set_at", "-pk")


def get_hold(*, actor: User, hold_id: int) -> LegalHold:
    """One legal hold that the actor may release.

    Raises:
        NotFound: there is none, or it is not the actor's to see.
    """
    row = LegalHold.objects.select_related("institution").filter(pk=hold_id).first()
    if row is None or not keeps(actor, row.institution_id):
        raise NotFound("There is no such hold.")
    return row
