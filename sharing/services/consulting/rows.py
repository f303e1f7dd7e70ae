"""What every step of a consultation does: one row at a time, a line of history, an entry of the audit."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from common import audit
from common.accounts.models import User
from common.errors import NotFound
from hospitals import selectors as hospitals
from sharing.errors import ConsultationEnded, ConsultationInvalid, NotYourPart
from sharing.models import Consultation, ConsultationEntry, ConsultationSeen
from sharing.selectors import consultations as reads
from sharing.selectors.consultations import Side

Kind = ConsultationEntry.Kind


def open_row(*, actor: User, consultation_id: int, side: Side | None) -> Consultation:
    """The consultation, locked, which the actor takes part in on that side (or on any) and which is in force.

    Raises:
        NotFound: none, or not the actor's.
        NotYourPart: the actor is on the other side.
        ConsultationEnded: it has ended, or its term is over.
    """
    known = reads.get_consultation(actor=actor, consultation_id=consultation_id)
    row = Consultation.objects.select_for_update(no_key=True).filter(pk=known.pk).first()
    if row is None:
        raise NotFound("There is no such consultation.")
    # Asked again of the locked row: it may have been forwarded meanwhile.
    sides = reads.sides_of(actor, row)
    if not sides:
        raise NotFound("There is no such consultation.")
    if side is not None and side not in sides:
        raise NotYourPart
    if row.closed_at is not None or row.expires_at <= timezone.now():
        raise ConsultationEnded
    return row


def note(
    consultation: Consultation, kind: str, *, actor: User | None = None, text: str = ""
) -> ConsultationEntry:
    """Add a line to the history; whoever adds it has read it."""
    entry = ConsultationEntry.objects.create(
        consultation=consultation,
        kind=kind,
        actor=actor,
        actor_name=str(actor)[:200] if actor else "",
        institution_name=place_name(actor, consultation) if actor else "",
        text=text,
    )
    if actor is not None:
        mark_seen(actor=actor, consultation_id=consultation.pk, newest_entry=entry.pk)
    return entry


def place_name(actor: User, consultation: Consultation) -> str:
    """The institution for which somebody acts in a consultation."""
    places = hospitals.places_of_advisers(actor)
    sides = reads.sides_of(actor, consultation)
    at = (
        consultation.asking_institution_id
        if Side.ASKING in sides
        else consultation.asked_institution_id
    )
    return places[at].institution_name[:200] if at in places else ""


def mark_seen(*, actor: User, consultation_id: int, newest_entry: int) -> None:
    """Remember how far somebody has read; reading less never takes it back."""
    row, created = ConsultationSeen.objects.get_or_create(
        consultation_id=consultation_id, user=actor, defaults={"newest_entry": newest_entry}
    )
    if not created and row.newest_entry < newest_entry:
        ConsultationSeen.objects.filter(pk=row.pk, newest_entry__lt=newest_entry).update(
            newest_entry=newest_entry, at=timezone.now()
        )


def text_of(value: str, *, most: int, needed: str = "") -> str:
    """A text as it is kept: without NUL and outer blanks.

    Raises:
        ConsultationInvalid: it is too long, or empty where ``needed`` says that something is missing.
    """
    text = value.replace("\x00", "").strip()
    if needed and not text:
        raise ConsultationInvalid(needed)
    if len(text) > most:
        raise ConsultationInvalid(f"A text has at most {most} characters.")
    return text


def record(actor: User | str, action: str, consultation: Consultation, **detail: Any) -> None:
    """Into the audit: what was done, never what was written."""
    audit.record(
        actor,
        f"consultation.{action}",
        obj=consultation,
        institution_id=consultation.asked_institution_id,
        purpose="consultation",
        detail=detail,
    )
