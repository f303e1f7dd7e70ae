"""How a consultation ends: closed or withdrawn by who asked, or by its term; and who is reminded before."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common.accounts.models import User
from sharing.domain.consulting import LONGEST_REASON, ends_soon_at, remind_after
from sharing.errors import ConsultationStateConflict
from sharing.models import Consultation
from sharing.permissions import forget_sights
from sharing.selectors.consultations import Side
from sharing.services.consulting.rows import Kind, note, open_row, record, text_of

State = Consultation.State
_AT_ONCE = 200


@transaction.atomic
def close(*, actor: User, consultation_id: int) -> None:
    """End an answered consultation; the rights of both sides end at once.

    Raises:
        NotFound, NotYourPart, ConsultationEnded: see ``rows.open_row``.
        ConsultationStateConflict: there is no opinion yet; it can be withdrawn.
    """
    row = open_row(actor=actor, consultation_id=consultation_id, side=Side.ASKING)
    if row.state != State.ANSWERED:
        raise ConsultationStateConflict(
            _("There is no opinion yet: withdraw the question instead.")
        )
    _end(row, State.CLOSED, Kind.CLOSED, actor=actor)


@transaction.atomic
def withdraw(*, actor: User, consultation_id: int, reason: str = "") -> None:
    """Take the question back before an opinion was signed.

    Raises:
        NotFound, NotYourPart, ConsultationEnded: see ``rows.open_row``.
        ConsultationStateConflict: there is an opinion; it can be closed.
    """
    row = open_row(actor=actor, consultation_id=consultation_id, side=Side.ASKING)
    if row.state == State.ANSWERED:
        raise ConsultationStateConflict(_("An opinion was signed already."))
    text = text_of(reason, most=LONGEST_REASON)
    _end(row, State.WITHDRAWN, Kind.WITHDRAWN, actor=actor, text=text)


def _end(
    row: Consultation, state: State, kind: str, *, actor: User | None = None, text: str = ""
) -> None:
    row.state, row.closed_at = state, timezone.now()
    row.save(update_fields=["state", "closed_at"])
    note(row, kind, actor=actor, text=text)
    record(actor or "consultations", str(state), row)
    forget_sights()


def run(*, now: datetime | None = None) -> tuple[int, int]:
    """What is due: ends what has expired and writes reminders; how many of each. Again does nothing.

    The rights end by the instant in the row, not by this job.
    """
    moment = now or timezone.now()
    return _expire_due(moment), _remind_due(moment)


def _expire_due(now: datetime) -> int:
    due = Consultation.objects.filter(closed_at=None, expires_at__lte=now).order_by("expires_at")
    done = 0
    for pk in list(due.values_list("pk", flat=True)[:_AT_ONCE]):
        with transaction.atomic():
            row = Consultation.objects.select_for_update(no_key=True).get(pk=pk)
            if row.closed_at is None:
                _end(row, State.EXPIRED, Kind.EXPIRED)
                done += 1
    return done


def _remind_due(now: datetime) -> int:
    waiting = Consultation.objects.filter(closed_at=None, expires_at__gt=now)
    unanswered = waiting.exclude(state=State.ANSWERED)
    done = 0
    for row in unanswered.filter(state=State.ASKED, reminded_at=None).iterator():
        if remind_after(row.urgency, row.opens_at, row.expires_at) <= now:
            done += _remind(row.pk, "reminded_at", Kind.REMINDED, now)
    for row in unanswered.filter(end_reminded_at=None).iterator():
        if ends_soon_at(row.opens_at, row.expires_at) <= now:
            done += _remind(row.pk, "end_reminded_at", Kind.ENDING, now)
    return done


@transaction.atomic
def _remind(pk: int, field: str, kind: str, now: datetime) -> int:
    """The line is written by whoever sets the instant: two schedulers remind once."""
    changed = Consultation.objects.filter(pk=pk, closed_at=None, **{field: None}).update(
        **{field: now}
    )
    if changed:
        note(Consultation.objects.get(pk=pk), kind)
    return changed
