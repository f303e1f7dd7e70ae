"""The second factor of a person: one-time codes of a generator (TOTP, RFC 6238), and recovery codes for its loss.

The generator's key is encrypted at rest, recovery codes are kept as keyed hashes (ADR 0022).
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common import audit, privacy
from common.accounts.models import RecoveryCode, SecondFactor, User
from common.errors import DomainError, Kind

STEP_S = 30
DIGITS = 6
_KEY_BYTES = 20  # RFC 4226 section 4, R6: 160 bits
_SECRET_CONTEXT = "accounts.secondfactor.secret"  # noqa: S105 - where the key lies, not the key
_STEPS_AROUND = (0, -1, 1)  # a clock may be half a minute off (RFC 6238 section 5.2)
RECOVERY_CODES = 10
# Without letters and digits that are mistaken for each other; 10 of 31 are 49 bits.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


class FactorExists(DomainError):
    """A second factor is set up already."""

    code = "second-factor-exists"
    kind = Kind.CONFLICT


class FactorMissing(DomainError):
    """There is no second factor to speak of."""

    code = "second-factor-missing"
    kind = Kind.CONFLICT


class CodeWrong(DomainError):
    """This code is not valid, or was used before."""

    code = "code-wrong"


@dataclass(frozen=True)
class Enrolment:
    """What a generator needs to know, while it is set up."""

    uri: str
    key: str  # base32, in groups of four

    @property
    def plain_key(self) -> str:
        return self.key.replace(" ", "")


@dataclass(frozen=True)
class FactorState:
    """What an account page and an administrator see of a second factor."""

    in_use: bool
    codes_left: int


def has_factor(user: User) -> bool:
    """Whether this person has to show a code at the log-in."""
    return SecondFactor.objects.filter(user_id=user.pk, confirmed_at__isnull=False).exists()


def people_with_factor(user_ids: list[int]) -> frozenset[int]:
    """Those among these accounts that have one. One query."""
    rows = SecondFactor.objects.filter(user_id__in=user_ids, confirmed_at__isnull=False)
    return frozenset(rows.values_list("user_id", flat=True))


def factor_state(user: User) -> FactorState:
    """Whether it is in use, and how many recovery codes are left."""
    return FactorState(
        in_use=has_factor(user),
        codes_left=RecoveryCode.objects.filter(user_id=user.pk, used_at=None).count(),
    )


@transaction.atomic
def begin_enrolment(user: User, *, issuer: str) -> Enrolment:
    """The key of a generator that is not confirmed yet; the same one until a code confirms it.

    Raises:
        FactorExists: one is in use; it has to be taken away first.
    """
    _row_of_account(user)
    row = SecondFactor.objects.filter(user_id=user.pk).first()
    if row is None:
        key = os.urandom(_KEY_BYTES)
        SecondFactor.objects.create(user=user, secret=privacy.encrypt(key, context=_SECRET_CONTEXT))
    elif row.confirmed_at is not None:
        raise FactorExists
    else:
        key = privacy.decrypt(row.secret, context=_SECRET_CONTEXT)
    text = base64.b32encode(key).decode()
    return Enrolment(
        uri=_totp(key).get_provisioning_uri(user.username, issuer),
        key=" ".join(text[place : place + 4] for place in range(0, len(text), 4)),
    )


@transaction.atomic
def confirm_enrolment(user: User, code: str) -> list[str]:
    """Put the generator into use; answers the recovery codes: the only time they can be read.

    Raises:
        FactorMissing: no generator is being set up.
        CodeWrong: the code is not of this generator at this time.
    """
    row = SecondFactor.objects.select_for_update(no_key=True).filter(user_id=user.pk).first()
    if row is None or row.confirmed_at is not None:
        raise FactorMissing
    step = _step_of(row, code)
    if step is None:
        raise CodeWrong
    now = timezone.now()
    row.confirmed_at = row.last_used_at = now
    row.last_step = step
    row.save(update_fields=["confirmed_at", "last_used_at", "last_step"])
    audit.record(user, "second-factor.set-up", obj=user)
    return _new_recovery_codes(user)


def accept_code(user: User, code: str) -> bool:
    """Whether the code is of the person's generator, now, and newer than every one accepted before.

    A code is good once: of two requests that show it at the same time, one is refused (RFC 6238 section 5.2).
    """
    row = SecondFactor.objects.filter(user_id=user.pk, confirmed_at__isnull=False).first()
    step = None if row is None else _step_of(row, code)
    if row is None or step is None:
        return False
    taken = SecondFactor.objects.filter(
        pk=row.pk, last_step__lt=step, confirmed_at__isnull=False
    ).update(last_step=step, last_used_at=timezone.now())
    return taken == 1


def accept_recovery_code(user: User, code: str) -> bool:
    """Whether this is one of the person's recovery codes that was never used; it is used now."""
    digest = _digest(user, code)
    taken = RecoveryCode.objects.filter(user_id=user.pk, digest=digest, used_at=None).update(
        used_at=timezone.now()
    )
    if taken:
        audit.record(user, "second-factor.recovery-code", obj=user)
    return taken == 1


@transaction.atomic
def renew_recovery_codes(user: User) -> list[str]:
    """New recovery codes; the former ones end.

    Raises:
        FactorMissing: there is no generator that they could stand in for.
    """
    _row_of_account(user)
    if not has_factor(user):
        raise FactorMissing
    audit.record(user, "second-factor.recovery-codes-renewed", obj=user)
    return _new_recovery_codes(user)


@transaction.atomic
def remove_factor(*, actor: User | str, user: User) -> None:
    """Take generator and recovery codes away, so that the person sets up a new one.

    Raises:
        FactorMissing: there is none, set up or being set up.
    """
    gone, _rows = SecondFactor.objects.filter(user_id=user.pk).delete()
    RecoveryCode.objects.filter(user_id=user.pk).delete()
    if not gone:
        raise FactorMissing(_("This person has no second factor."))
    audit.record(actor, "second-factor.reset", obj=user)


def rotate_secrets() -> int:
    """Encrypt every generator's key with the newest of FIELD_KEYS; how many were not yet.

    Raises:
        Undecipherable: the key of one of them is not among FIELD_KEYS any more.
    """
    renewed = 0
    for pk in list(SecondFactor.objects.values_list("pk", flat=True)):
        with transaction.atomic():
            row = SecondFactor.objects.select_for_update(no_key=True).filter(pk=pk).first()
            if row is not None and privacy.needs_rotation(row.secret):
                row.secret = privacy.rotated(row.secret, context=_SECRET_CONTEXT)
                row.save(update_fields=["secret"])
                renewed += 1
    return renewed


def looks_like_generator_code(code: str) -> bool:
    """Six digits; everything else can only be a recovery code."""
    text = _without_blanks(code)
    return len(text) == DIGITS and text.isascii() and text.isdigit()


def _row_of_account(user: User) -> None:
    """What is done to one person's factor queues here: two requests never both find that there is none."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _totp(key: bytes) -> TOTP:
    # SHA-1 is what the generators in use know; HMAC does not rest on its collisions (RFC 6238 section 1.2).
    return TOTP(key, DIGITS, SHA1(), STEP_S)  # noqa: S303


def _step_of(row: SecondFactor, code: str) -> int | None:
    """The time step that the code belongs to, where that is about now."""
    if not looks_like_generator_code(code):
        return None
    given = _without_blanks(code).encode()
    totp = _totp(privacy.decrypt(row.secret, context=_SECRET_CONTEXT))
    now = int(time.time()) // STEP_S
    for around in _STEPS_AROUND:
        if hmac.compare_digest(totp.generate((now + around) * STEP_S), given):
            return now + around
    return None


def _without_blanks(code: str) -> str:
    return "".join(code[:40].split())


def _new_recovery_codes(user: User) -> list[str]:
    RecoveryCode.objects.filter(user_id=user.pk).delete()
    codes = [
        "".join(secrets.choice(_ALPHABET) for _place in range(10))
        for _number in range(RECOVERY_CODES)
    ]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=user, digest=_digest(user, code)) for code in codes
    )
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _digest(user: User, code: str) -> bytes:
    # Of this person only: a code that somebody else has means nothing here.
    return privacy.lookup_hash(code[:40], purpose=f"recovery code {user.pk}")
