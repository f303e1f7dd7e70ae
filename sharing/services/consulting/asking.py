"""Asking: whom, about which studies, until when; and attaching further studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common import audit
from common.accounts.models import User
from common.errors import NotPermitted
from hospitals import selectors as hospitals
from sharing.domain.consulting import LONGEST_TEXT, MOST_STUDIES, NOT_PASSED_ON, TERMS
from sharing.errors import ConsultationInvalid, NobodyToAsk, StudyNotPassedOn
from sharing.models import Consultation, ConsultationStudy, Study
from sharing.permissions import decide, forget_sights
from sharing.services.consulting.rows import Kind, note, open_row, record, text_of


@dataclass(frozen=True)
class Question:
    """What somebody asks. Either a department or a colleague of one is named, or both."""

    asking_institution_id: int
    asked_institution_id: int
    question: str
    department_id: int | None = None
    user_id: int | None = None
    summary: str = ""
    urgency: str = Consultation.Urgency.ROUTINE
    days: int = 7


@transaction.atomic
def ask(*, actor: User, question: Question, studies: Sequence[Study]) -> Consultation:
    """Ask for a consultation. From now on those asked see exactly these studies, until it ends or expires.

    Raises:
        NotPermitted: the actor reads no images at the asking institution, or that one is suspended or has left.
        NobodyToAsk: there is no such department or colleague.
        ConsultationInvalid: the question, the term or the studies are missing.
        StudyNotPassedOn: the actor sees one of them only through others' permission, or not at all.
    """
    _require_at_work(actor, question.asking_institution_id)
    department_id = _addressee(actor, question)
    now = timezone.now()
    row = Consultation.objects.create(
        asking_institution_id=question.asking_institution_id,
        asked_by=actor,
        asked_institution_id=question.asked_institution_id,
        asked_department_id=department_id,
        asked_user_id=question.user_id,
        urgency=_known(question.urgency),
        question=text_of(question.question, most=LONGEST_TEXT, needed=_("Write what you ask.")),
        summary=text_of(question.summary, most=LONGEST_TEXT),
        opens_at=now,
        expires_at=now + timedelta(days=_days(question.days)),
    )
    note(row, Kind.ASKED, actor=actor)
    record(actor, "ask", row, days=question.days, urgency=row.urgency, studies=len(studies))
    if not _attach(actor, row, studies):
        raise ConsultationInvalid(_("Attach at least one study."))
    return row


@transaction.atomic
def attach(*, actor: User, consultation_id: int, studies: Sequence[Study]) -> int:
    """Attach further studies, by either side; how many were not attached yet. Both sides see them.

    Raises:
        NotFound, ConsultationEnded: there is none that this can be added to.
        ConsultationInvalid: it has too many.
        StudyNotPassedOn: the actor sees one only through others' permission, or not at all.
    """
    row = open_row(actor=actor, consultation_id=consultation_id, side=None)
    added = _attach(actor, row, studies)
    if added:
        note(row, Kind.STUDIES, actor=actor, text=str(added))
    return added


def _attach(actor: User, row: Consultation, studies: Sequence[Study]) -> int:
    known = set(row.studies.values_list("institution_id", "study_instance_uid"))
    fresh = [
        each for each in studies if (each.institution_id, each.study_instance_uid) not in known
    ]
    if len(known) + len(fresh) > MOST_STUDIES:
        raise ConsultationInvalid(
            _("A consultation has at most %(n)d studies.") % {"n": MOST_STUDIES}
        )
    for study in fresh:
        basis = decide(actor, study).basis
        if basis is None or basis in NOT_PASSED_ON:
            raise StudyNotPassedOn
        ConsultationStudy.objects.create(
            consultation=row,
            study=study,
            institution_id=study.institution_id,
            study_instance_uid=study.study_instance_uid,
            attached_by=actor,
            basis=str(basis),
        )
        audit.record(
            actor, "study.share", study, basis=str(basis), purpose="consultation",
            detail={"consultation": row.pk, "to": row.asked_institution_id},
        )  # fmt: skip
    forget_sights()
    return len(fresh)


def _require_at_work(actor: User, institution_id: int) -> None:
    at_work = not actor.is_system and institution_id in hospitals.places_of_advisers(actor)
    if not at_work or not hospitals.may_share(institution_id=institution_id):
        raise NotPermitted(_("Your roles do not allow this."))


def _addressee(actor: User, question: Question) -> int | None:
    """The department that is asked as a whole; none where a colleague is asked alone.

    Somebody is found by a department only: who is in none is not asked from outside.
    """
    if not hospitals.may_share(institution_id=question.asked_institution_id):
        raise NobodyToAsk
    entries = hospitals.list_departments(institution_id=question.asked_institution_id)
    if question.user_id is None:
        found = [each for each in entries if each.department_id == question.department_id]
        if not found or not {each.user_id for each in found[0].colleagues} - {actor.pk}:
            raise NobodyToAsk
        return found[0].department_id
    people = {each.user_id for entry in entries for each in entry.colleagues} - {actor.pk}
    if question.user_id not in people:
        raise NobodyToAsk
    return None


def _known(urgency: str) -> str:
    if urgency not in Consultation.Urgency.values:
        raise ConsultationInvalid(_("Say how urgent it is."))
    return urgency


def _days(days: int) -> int:
    if days not in TERMS:
        raise ConsultationInvalid(_("Say for how long you ask."))
    return days
