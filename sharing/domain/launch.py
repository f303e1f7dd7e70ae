"""The form by which an order-entry system launches without a token: what is signed, and how (ADR 0028)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import astuple, dataclass, fields

VERSION = "imaging-launch-v1"
CLOCKS_APART_S = 120  # more between their clock and ours is refused
_LONGEST = 200
NONCE = (16, 64)


@dataclass(frozen=True)
class SignedForm:
    """What stands in the form, in the order in which it is signed."""

    key: str
    timestamp: str  # seconds of the epoch
    nonce: str
    patient_number: str
    visit_number: str
    clinician_number: str
    clinician_name: str
    purpose: str

    def is_whole(self) -> bool:
        """Whether every value can have been signed unambiguously."""
        values = astuple(self)
        return (
            bool(self.key and self.clinician_number and (self.patient_number or self.visit_number))
            and self.timestamp.isascii()
            and self.timestamp.isdigit()
            and NONCE[0] <= len(self.nonce) <= NONCE[1]
            and all(len(value) <= _LONGEST and value.isprintable() for value in values)
        )


NAMES = tuple(each.name for each in fields(SignedForm))


def signature(form: SignedForm, secret: bytes) -> str:
    """HMAC-SHA-256 (hexadecimal) of the version and the values, each on a line of its own, in UTF-8."""
    text = "\n".join((VERSION, *astuple(form)))
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def is_signed(form: SignedForm, given: str, secret: bytes) -> bool:
    """Whether the signature is that of this form; compared in constant time."""
    return hmac.compare_digest(signature(form, secret).encode(), given.strip().lower().encode())
