"""Film slips (policy S-c): issued for studies of one patient, opened by code and second factor, revoked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from common import audit
from sharing.domain import access_terms
from sharing.errors import SlipInvalid, SlipLocked, SlipRefused
from sharing.models import FilmSlip, FilmSlipStudy, Study
from sharing.permissions import Basis, SlipHolder, forget_sights, require_desk

if TYPE_CHECKING:
    from common.audit.services import Actor

_CODE_BYTES = 16  # 128 bits
_FACTOR_LEAST = 4
_MOST_STUDIES = 100


@transaction.atomic
def issue_slip(
    *, actor: Actor, studies: Sequence[Study], kind: str, second_factor: str
) -> tuple[FilmSlip, str]:
    """A slip for these studies of one patient, and its code, which is said here and never again.

    Raises:
        NotPermitted: ``actor`` does not register at the institution.
        SlipInvalid: no study, studies of several patients, no such kind, or a second factor under four characters.
    """
    patients = {study.local_patient_id for study in studies}
    patient_id = next(iter(patients), None)
    if len(patients) != 1 or patient_id is None or len(studies) > _MOST_STUDIES:
        raise SlipInvalid
    if kind not in FilmSlip.Kind.values or len(second_factor.strip()) < _FACTOR_LEAST:
        raise SlipInvalid
    first = studies[0]
    require_desk(actor, first.institution_id)
    code = secrets.token_urlsafe(_CODE_BYTES)
    now = timezone.now()
    slip = FilmSlip.objects.create(
        digest=_digest(code),
        kind=kind,
        institution_id=first.institution_id,
        patient_id=patient_id,
        second_factor=make_password(_levelled(second_factor)),
        issued_at=now,
        issued_by_id=None if actor is None or isinstance(actor, str) else actor.pk,
        expires_at=now + access_terms.SLIP[kind],
    )
    FilmSlipStudy.objects.bulk_create(
        FilmSlipStudy(slip=slip, study_id=pk) for pk in {study.pk for study in studies}
    )
    _record(actor, "slip.issue", slip)
    return slip, code


@transaction.atomic
def revoke_slip(*, actor: Actor, slip: FilmSlip) -> FilmSlip:
    """It opens nothing any more, within five seconds.

    Raises:
        NotPermitted: ``actor`` does not register at the institution that issued it.
    """
    require_desk(actor, slip.institution_id)
    row = FilmSlip.objects.select_for_update(no_key=True).get(pk=slip.pk)
    if row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.revoked_by_id = None if actor is None or isinstance(actor, str) else actor.pk
        row.save(update_fields=["revoked_at", "revoked_by"])
        _record(actor, "slip.revoke", row)
        forget_sights()
    return row


def open_slip(*, code: str, second_factor: str) -> SlipHolder:
    """Let in who holds the code and knows the second factor. Not in a transaction: a wrong try is counted.

    Raises:
        SlipRefused: there is none, it is over or revoked, or the factor is wrong: all look the same.
        SlipLocked: the fifth wrong try; for a quarter of an hour nothing is tried.
    """
    now = timezone.now()
    slip = FilmSlip.objects.filter(
        digest=_digest(code), revoked_at__isnull=True, expires_at__gt=now
    ).first()
    if slip is None:
        make_password(second_factor[:64])  # as slow as a wrong factor
        raise SlipRefused
    # The try is counted before it is judged: many at once get no more than five.
    tried = FilmSlip.objects.filter(pk=slip.pk, wrong_tries__lt=access_terms.WRONG_TRIES).update(
        wrong_tries=F("wrong_tries") + 1
    )
    if not tried and not _unlocked(slip):
        raise SlipLocked
    if not check_password(_levelled(second_factor), slip.second_factor):
        FilmSlip.objects.filter(pk=slip.pk, wrong_tries__gte=access_terms.WRONG_TRIES).update(
            locked_until=now + access_terms.LOCKED
        )
        _record(None, "slip.open", slip, result="refused")
        raise SlipRefused
    FilmSlip.objects.filter(pk=slip.pk).update(
        wrong_tries=0, locked_until=None, openings=F("openings") + 1, last_opened_at=now
    )
    _record(None, "slip.open", slip)
    return SlipHolder(slip.pk)


def _unlocked(slip: FilmSlip) -> bool:
    """Whether its lock is over: then this is the first try of the next five."""
    now = timezone.now()
    over = FilmSlip.objects.filter(pk=slip.pk, locked_until__lte=now)
    return bool(over.update(wrong_tries=1, locked_until=None))


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.strip().encode()).digest()


def _levelled(factor: str) -> str:
    return "".join(factor.split()).upper()[:64]


def _record(actor: Actor, action: str, slip: FilmSlip, *, result: str = "success") -> None:
    audit.record(
        actor,
        action,
        slip,
        basis=Basis.FILM_SLIP,
        purpose="share",
        result=result,
        person_key=slip.patient.person.key,
        detail={"kind": slip.kind, "expires_at": slip.expires_at.isoformat()},
    )
