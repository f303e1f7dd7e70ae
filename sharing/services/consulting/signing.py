"""The signed opinion: a digest over text, author and time, sealed with a key that the database does not hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common import privacy
from common.accounts.confirming import confirm_person
from common.accounts.models import User
from hospitals import selectors as hospitals
from sharing.domain.consulting import LONGEST_REASON, LONGEST_TEXT, SignedContent
from sharing.errors import ConsultationStateConflict
from sharing.models import Consultation, ConsultationOpinion
from sharing.selectors.consultations import SEAL, Side
from sharing.services.consulting.rows import Kind, note, open_row, record, text_of

State = Consultation.State


@dataclass(frozen=True)
class Draft:
    """An opinion before it is signed. ``reason`` is needed where a signed one is amended."""

    opinion: str
    findings: str = ""
    advice: str = ""
    reason: str = ""


def sign(
    *, actor: User, consultation_id: int, draft: Draft, password: str, code: str = ""
) -> ConsultationOpinion:
    """Sign an opinion, or amend the signed one by a further version; nothing is overwritten.

    Raises:
        NotFound, NotYourPart, ConsultationEnded: see ``rows.open_row``.
        ConsultationStateConflict: it was not accepted yet.
        ConsultationInvalid: the opinion, or the reason of an amendment, is missing.
        NotConfirmed: password or one-time code do not agree.
    """
    # Looked at before anybody is asked for a password: a one-time code is not to be spent on an empty form.
    with transaction.atomic():
        _checked(open_row(actor=actor, consultation_id=consultation_id, side=Side.ASKED), draft)
    # Outside of a transaction: a failure is counted, whatever happens afterwards.
    second = confirm_person(actor, password=password, code=code, purpose="consultation")
    with transaction.atomic():
        row = open_row(actor=actor, consultation_id=consultation_id, side=Side.ASKED)
        return _write(actor, row, _checked(row, draft), second)


def _checked(row: Consultation, draft: Draft) -> Draft:
    if row.state == State.ASKED:
        raise ConsultationStateConflict(_("Accept the consultation first."))
    amends = row.opinions.exists()
    return Draft(
        opinion=text_of(draft.opinion, most=LONGEST_TEXT, needed=_("Write your opinion.")),
        findings=text_of(draft.findings, most=LONGEST_TEXT),
        advice=text_of(draft.advice, most=LONGEST_TEXT),
        reason=text_of(draft.reason, most=LONGEST_REASON, needed=_("Say why it is amended."))
        if amends
        else "",
    )


def _write(actor: User, row: Consultation, draft: Draft, second: bool) -> ConsultationOpinion:
    former = row.opinions.order_by("-number").first()
    place = hospitals.places_of_advisers(actor)[row.asked_institution_id]
    department = row.asked_department
    content = SignedContent(
        consultation_id=row.pk,
        number=former.number + 1 if former else 1,
        author_id=actor.pk,
        author_username=actor.username,
        author_name=str(actor)[:200],
        institution_code=place.institution_code,
        institution_name=place.institution_name,
        department_name=department.name if department else "",
        study_instance_uids=tuple(row.studies.values_list("study_instance_uid", flat=True)),
        second_factor=second,
        signed_at=timezone.now(),
        previous_digest=former.digest if former else "",
        **asdict(draft),
    )
    digest = content.digest()
    values = asdict(content) | {"study_instance_uids": list(content.study_instance_uids)}
    opinion = ConsultationOpinion.objects.create(
        **values, digest=digest, seal=privacy.seal(digest.encode(), purpose=SEAL)
    )
    row.state, row.answered_at = State.ANSWERED, row.answered_at or content.signed_at
    row.save(update_fields=["state", "answered_at"])
    note(row, Kind.AMENDED if former else Kind.OPINION, actor=actor, text=draft.reason)
    record(actor, "amend" if former else "sign", row, number=opinion.number, digest=digest)
    return opinion
