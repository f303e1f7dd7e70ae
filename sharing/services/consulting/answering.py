"""The asked side accepts, declines or forwards; both sides write."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common.accounts.models import User
from sharing.domain.consulting import LONGEST_REASON, LONGEST_TEXT
from sharing.errors import ConsultationStateConflict, NobodyToAsk
from sharing.models import Consultation, ConsultationEntry
from sharing.permissions import forget_sights
from sharing.selectors import consultations as reads
from sharing.selectors.consultations import Side
from sharing.services.consulting.rows import Kind, note, open_row, record, text_of

State = Consultation.State


@transaction.atomic
def accept(*, actor: User, consultation_id: int) -> None:
    """Take the question on.

    Raises:
        NotFound, NotYourPart, ConsultationEnded: see ``rows.open_row``.
        ConsultationStateConflict: somebody has accepted already.
    """
    row = open_row(actor=actor, consultation_id=consultation_id, side=Side.ASKED)
    if row.state != State.ASKED:
        raise ConsultationStateConflict(_("Somebody has accepted already."))
    row.state, row.accepted_at, row.accepted_by = State.ACCEPTED, timezone.now(), actor
    row.save(update_fields=["state", "accepted_at", "accepted_by"])
    note(row, Kind.ACCEPTED, actor=actor)
    record(actor, "accept", row)


@transaction.atomic
def decline(*, actor: User, consultation_id: int, reason: str) -> None:
    """Say no, with a reason; the right to see the studies ends at once.

    Raises:
        NotFound, NotYourPart, ConsultationEnded: see ``rows.open_row``.
        ConsultationInvalid: no reason.
        ConsultationStateConflict: an opinion was signed already.
    """
    row = open_row(actor=actor, consultation_id=consultation_id, side=Side.ASKED)
    if row.state == State.ANSWERED:
        raise ConsultationStateConflict(_("An opinion was signed already."))
    text = text_of(reason, most=LONGEST_REASON, needed=_("Say why."))
    row.state, row.closed_at = State.DECLINED, timezone.now()
    row.save(update_fields=["state", "closed_at"])
    note(row, Kind.DECLINED, actor=actor, text=text)
    record(actor, "decline", row)
    forget_sights()


@transaction.atomic
def forward(*, actor: User, consultation_id: int, user_id: int, text: str = "") -> None:
    """Hand the question to a colleague of the same department, who is asked anew.

    Who was asked by name before sees the studies no longer; a department that was asked goes on seeing them.

    Raises:
        NotFound, NotYourPart, ConsultationEnded: see ``rows.open_row``.
        NobodyToAsk: no such colleague.
        ConsultationStateConflict: an opinion was signed already.
    """
    row = open_row(actor=actor, consultation_id=consultation_id, side=Side.ASKED)
    if row.state == State.ANSWERED:
        raise ConsultationStateConflict(_("An opinion was signed already."))
    colleagues = reads.list_colleagues(actor=actor, consultation=row)
    found = next((each for each in colleagues if each.user_id == user_id), None)
    if found is None:
        raise NobodyToAsk
    words = text_of(text, most=LONGEST_REASON)
    # Before the row changes: who forwards may be nobody's side afterwards.
    note(row, Kind.FORWARDED, actor=actor, text=f"{found.name}\n{words}".strip())
    row.state, row.asked_user_id = State.ASKED, user_id
    row.accepted_at = row.accepted_by = row.reminded_at = None
    row.save()
    record(actor, "forward", row, to=user_id)
    forget_sights()


@transaction.atomic
def write(*, actor: User, consultation_id: int, text: str) -> ConsultationEntry:
    """Add a message to the thread, by either side.

    Raises:
        NotFound, ConsultationEnded: see ``rows.open_row``.
        ConsultationInvalid: nothing was written, or too much.
    """
    row = open_row(actor=actor, consultation_id=consultation_id, side=None)
    words = text_of(text, most=LONGEST_TEXT, needed=_("Write something."))
    entry = note(row, Kind.MESSAGE, actor=actor, text=words)
    record(actor, "write", row, entry=entry.pk)
    return entry
