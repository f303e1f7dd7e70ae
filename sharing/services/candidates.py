"""Local patients that may be one person: looked for in the background, decided by a reader (policy section 4).

What is new or was changed is compared with those who were born on the same day and sound alike, who have the same
phone, or the same number of another issuer in the same institution. Never by name alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from common import audit
from common.dicom.names import full_names
from common.errors import NotPermitted
from sharing.domain.likeness import compare
from sharing.errors import CandidateDecided, ReasonRequired
from sharing.models import LinkCandidate, LinkEvent, LocalPatient
from sharing.permissions import treats_at
from sharing.services import assigning, linking

if TYPE_CHECKING:
    from common.accounts.models import User

RUN_S = 45.0
BATCH = 200
MOST_ALIKE = (
    50  # of one patient are looked at; more of one name and day are a fault of somebody's data
)
State = LinkCandidate.State


def run() -> None:
    """What is due of both for some time: older rows get their patients, and patients are compared."""
    until = time.monotonic() + RUN_S
    assigning.backfill(within=lambda: time.monotonic() < until)
    compare_due(within=lambda: time.monotonic() < until)


def compare_due(*, within: Callable[[], bool] = lambda: True) -> int:
    """Compare the patients that are new or were changed; returns how many. Goes on where it stopped."""
    done = 0
    while within():
        compared = _compare_batch()
        done += compared
        if not compared:
            break
    return done


def decide(*, actor: User, candidate: LinkCandidate, link: bool, reason: str) -> LinkCandidate:
    """A reader's word: one person, or two. The caller has asked whether ``actor`` may.

    Raises:
        NotPermitted: ``actor`` has a second role that treats one of the two, and would gain sight by joining them.
        CandidateDecided: somebody was faster.
        ReasonRequired: no reason is given.
    """
    given = " ".join(reason.split())[: linking.LONGEST_REASON]
    if len(given) < 2:
        raise ReasonRequired
    with transaction.atomic():
        row = LinkCandidate.objects.select_for_update(no_key=True).get(pk=candidate.pk)
        if row.state != State.OPEN:
            raise CandidateDecided
        first, second = (
            LocalPatient.objects.select_related("person").get(pk=pk)
            for pk in (row.first_id, row.second_id)
        )
        if link and treats_at(actor) & {first.institution_id, second.institution_id}:
            raise NotPermitted(_("Your roles do not allow this."))
        if link and first.person_id != second.person_id:
            older, newer = sorted((first, second), key=lambda each: each.person_id)
            linking.link(
                actor=actor,
                patient=newer,
                to_person=older.person,
                ground=LinkEvent.Ground.REVIEW,
                reason=given,
            )
        _settle(row, actor, State.LINKED if link else State.REJECTED, given)
        audit.record(
            actor,
            "candidate.link" if link else "candidate.reject",
            row,
            institution_id=first.institution_id,
            purpose="linking",
            person_key=first.person.key,
            detail={"score": row.score, "grounds": row.grounds, "reason": given},
        )
    return row


def _settle(row: LinkCandidate, actor: User, state: str, reason: str) -> None:
    row.state, row.reason = state, reason
    row.decided_by, row.decided_at = actor, timezone.now()
    row.save()


@transaction.atomic
def _compare_batch() -> int:
    due = list(
        LocalPatient.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(compared_at=None)
        .order_by("pk")[:BATCH]
    )
    for patient in due:
        for other in _alike(patient):
            found = compare(linking.traits_of(patient), linking.traits_of(other))
            if found.worth_review:
                linking.add_candidate(patient, other, found)
    now = timezone.now()
    LocalPatient.objects.filter(pk__in=[each.pk for each in due]).update(compared_at=now)
    return len(due)


def _alike(patient: LocalPatient) -> list[LocalPatient]:
    others = LocalPatient.objects.exclude(person=patient.person_id)
    found: dict[int, LocalPatient] = {}
    for question in _questions(patient):
        found.update((each.pk, each) for each in others.filter(question)[:MOST_ALIKE])
    return list(found.values())


def _questions(patient: LocalPatient) -> list[Q]:
    asked = []
    spoken = sorted(full_names(patient.name).spoken)
    if patient.birth_date and spoken:
        asked.append(Q(birth_date=patient.birth_date, name_grams__overlap=spoken))
    if patient.phone_hash is not None:
        asked.append(Q(phone_hash=patient.phone_hash))
    if patient.number:
        asked.append(
            Q(institution=patient.institution_id, number=patient.number) & ~Q(issuer=patient.issuer)
        )
    return asked
