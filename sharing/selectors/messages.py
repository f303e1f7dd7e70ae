"""Messages of hospitals for those who run the province or one of its hospitals. Rows carry no patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils import timezone

from common.errors import NotFound
from hospitals import selectors as hospitals
from sharing.models import HospitalMessage, MessageSender
from sharing.permissions import Role
from sharing.selectors.overview import Reach, run_by

if TYPE_CHECKING:
    from common.accounts.models import User

State = HospitalMessage.State


@dataclass(frozen=True)
class MessageFilter:
    """Which messages a page shows; empty fields narrow nothing."""

    institution_code: str = ""
    state: str = ""
    kind: str = ""
    since: date | None = None
    until: date | None = None


def list_messages(*, actor: User, wanted: MessageFilter) -> QuerySet[HospitalMessage]:
    """Messages of the institutions whose work the actor may steer, newest first, without their bytes."""
    rows = _reached(actor).select_related("institution", "sender").defer("body", "digest")
    if wanted.institution_code:
        rows = rows.filter(institution__code=wanted.institution_code)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    if wanted.kind:
        kind, _, event = wanted.kind.partition("^")
        rows = rows.filter(kind=kind, **({"event": event} if event else {}))
    if wanted.since:
        rows = rows.filter(received_at__gte=_begin(wanted.since))
    if wanted.until:
        rows = rows.filter(received_at__lt=_begin(wanted.until + timedelta(days=1)))
    return rows.order_by("-pk")


def _begin(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def get_message(*, actor: User, message_id: int) -> HospitalMessage:
    """One message that the actor may steer.

    Raises:
        NotFound: none, or not for this actor.
    """
    found = _reached(actor).select_related("institution", "sender").filter(pk=message_id).first()
    if found is None:
        raise NotFound
    return found


def may_read_content(*, actor: User, message: HospitalMessage) -> bool:
    """Whether the actor may see what the message says: its institution's administrator, nobody of the province."""
    return hospitals.has_role(actor, Role.INSTITUTION_ADMIN, institution_id=message.institution_id)


def count_failed(*, actor: User) -> int:
    """How many messages wait for somebody; at most a hundred are counted."""
    return _reached(actor).filter(state=State.FAILED)[:100].count()


def list_senders(*, actor: User) -> QuerySet[MessageSender]:
    """The registered systems of the institutions that the actor steers."""
    reach = run_by(actor)
    rows = MessageSender.objects.select_related("institution", "account").order_by(
        "institution__code", "application"
    )
    return (
        rows
        if reach.institution_ids is None
        else rows.filter(institution_id__in=reach.institution_ids)
    )


def sender_exists(*, institution_id: int, application: str) -> bool:
    """Whether a system of this name may send for the institution."""
    return MessageSender.objects.filter(
        institution_id=institution_id, application=application, active=True
    ).exists()


def _reached(actor: User) -> QuerySet[HospitalMessage]:
    reach: Reach = run_by(actor)
    rows = HospitalMessage.objects.all()
    return (
        rows
        if reach.institution_ids is None
        else rows.filter(institution_id__in=reach.institution_ids)
    )
