"""Rules of a remote consultation (会诊) without tables: terms, reminders, and what a signature is made over."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

# For how long somebody may be asked, in days; the rights last no longer.
TERMS = (1, 3, 7, 14, 30)
USUAL_TERM = 7
LONGEST_TEXT = 8_000
LONGEST_REASON = 500
MOST_STUDIES = 20
# How long a question may wait before those who were asked are reminded.
_PATIENCE = {
    "emergency": timedelta(minutes=15),
    "urgent": timedelta(hours=2),
    "routine": timedelta(hours=24),
}
# What somebody sees only because they were let in by others is not theirs to pass on: neither what the patient allowed
# these readers and may withdraw, nor what was opened for the hours of an emergency.
NOT_PASSED_ON = frozenset({"consent", "consultation", "emergency", "film-slip"})


def remind_after(urgency: str, opens_at: datetime, expires_at: datetime) -> datetime:
    """When to say that nobody has accepted: by urgency, and before half of the term is over."""
    return opens_at + min(_PATIENCE[urgency], (expires_at - opens_at) / 2)


def ends_soon_at(opens_at: datetime, expires_at: datetime) -> datetime:
    """When to say that the term ends: a day before, or after three quarters of a shorter term."""
    return expires_at - min(timedelta(days=1), (expires_at - opens_at) / 4)


@dataclass(frozen=True)
class SignedContent:
    """Everything that a signature stands for. The order of the fields does not matter, their names do."""

    consultation_id: int
    number: int
    author_id: int
    author_username: str
    author_name: str
    institution_code: str
    institution_name: str
    department_name: str
    findings: str
    opinion: str
    advice: str
    reason: str
    study_instance_uids: tuple[str, ...]
    second_factor: bool
    signed_at: datetime
    previous_digest: str

    def to_bytes(self) -> bytes:
        """One spelling of it: JSON with sorted names, UTF-8, no blanks, the instant in UTC to the microsecond."""
        values = asdict(self)
        values["signed_at"] = self.signed_at.astimezone(UTC).isoformat(timespec="microseconds")
        values["study_instance_uids"] = list(self.study_instance_uids)
        text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode()

    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()
