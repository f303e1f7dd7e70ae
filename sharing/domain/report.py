"""A diagnostic report as a sender tells it: what may stand in one, and which of two versions is the newer.

Plain rules without a clock; ``sharing.services.reports`` applies them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sharing.errors import ReportContentInvalid

MOST_TEXT = 32_000  # characters of findings or impression: some twenty printed pages
MOST_TITLE, MOST_NAME = 256, 400
MOST_VERSION = 2**31 - 1
# A sender's clock may be fast. A date far ahead would keep every later correction out.
MOST_AHEAD = timedelta(hours=24)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
# Signs that make a line read in another order than it was written.
_ORDER = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_BLANKS = re.compile(r"[ \t\u3000]+(?=\n|$)")
_EMPTY_LINES = re.compile(r"\n{3,}")


class ReportStatus(StrEnum):
    """How far a report is (HL7 table 0123 and FHIR's diagnostic-report-status, as far as both are sent)."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


WITHDRAWN = frozenset({ReportStatus.CANCELLED, ReportStatus.ENTERED_IN_ERROR})
VERIFIED = frozenset({ReportStatus.FINAL, ReportStatus.AMENDED})


@dataclass(frozen=True)
class ReportContent:
    """One version of a report. ``reported_at`` is the sender's time of this version, never of its arrival.

    ``version`` is the sender's own count of versions, where it has one. The document fields name an instance of the
    archive (a DICOM SR, an encapsulated PDF) of which the text was taken.
    """

    status: ReportStatus
    reported_at: datetime
    findings: str = ""
    impression: str = ""
    title: str = ""
    author: str = ""
    verifier: str = ""
    verified_at: datetime | None = None
    version: int | None = None
    document_series_uid: str = ""
    document_instance_uid: str = ""
    document_type: str = ""

    @property
    def digest(self) -> bytes:
        """The same for the same message, sent again."""
        told = hashlib.sha256()
        for value in (
            self.status.value,
            self.reported_at.isoformat(),
            self.findings,
            self.impression,
            self.title,
            self.author,
            self.verifier,
            self.verified_at.isoformat() if self.verified_at else "",
            str(self.version or ""),
            self.document_instance_uid,
        ):
            data = value.encode()
            told.update(len(data).to_bytes(4, "big") + data)
        return told.digest()


@dataclass(frozen=True)
class Known:
    """What decides of the version that is held."""

    status: ReportStatus
    reported_at: datetime
    version: int | None
    digest: bytes


class Verdict(StrEnum):
    """What becomes of a version that was sent."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the very same is held
    STALE = "stale"  # an older one, or one that cannot come after what is held


def checked(content: ReportContent, *, now: datetime) -> ReportContent:
    """The content as it is kept: texts without control characters, times in one zone.

    Markup stays as the text that it is, and is escaped wherever it is shown.

    Raises:
        ReportContentInvalid: too long, empty, without zone or far in the future.
    """
    cleaned = replace(
        content,
        findings=plain_text(content.findings),
        impression=plain_text(content.impression),
        title=one_line(content.title),
        author=one_line(content.author),
        verifier=one_line(content.verifier),
        reported_at=_instant(content.reported_at, now=now),
        verified_at=_instant(content.verified_at, now=now) if content.verified_at else None,
    )
    _require_bounds(cleaned)
    says_something = cleaned.findings or cleaned.impression or cleaned.document_instance_uid
    if not says_something and cleaned.status not in WITHDRAWN:
        raise ReportContentInvalid("The report has neither findings nor impression.")
    return cleaned


def plain_text(text: str) -> str:
    """Lines of text, one kind of line end, nothing that is not shown."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")
    lines = lines.replace("\u2028", "\n").replace("\u2029", "\n\n")
    shown = _ORDER.sub("", _CONTROL.sub("", lines))
    return _EMPTY_LINES.sub("\n\n", _BLANKS.sub("", shown)).strip()


def one_line(text: str) -> str:
    """A name or title."""
    return " ".join(plain_text(text).split())


def _instant(at: datetime, *, now: datetime) -> datetime:
    if at.tzinfo is None:
        raise ReportContentInvalid("A time of the report has no zone.")
    if at > now + MOST_AHEAD:
        raise ReportContentInvalid("A time of the report lies in the future.")
    return at.astimezone(now.tzinfo)


def _require_bounds(content: ReportContent) -> None:
    for name, text, most in (
        ("findings", content.findings, MOST_TEXT),
        ("impression", content.impression, MOST_TEXT),
        ("title", content.title, MOST_TITLE),
        ("author", content.author, MOST_NAME),
        ("verifier", content.verifier, MOST_NAME),
    ):
        if len(text) > most:
            raise ReportContentInvalid(f"The {name} of the report has over {most} characters.")
    if content.version is not None and not 0 < content.version <= MOST_VERSION:
        raise ReportContentInvalid(f"The version is no whole number from 1 to {MOST_VERSION}.")


def verdict(known: Known, content: ReportContent) -> Verdict:
    """Whether ``content`` comes after the version that is held.

    The senders' counts decide where both have one, else the times of the versions. A preliminary one never replaces
    what was verified or withdrawn, and nothing follows what was entered in error.
    """
    if known.digest == content.digest:
        return Verdict.DUPLICATE
    if known.status == ReportStatus.ENTERED_IN_ERROR:
        return Verdict.STALE
    if content.status == ReportStatus.PRELIMINARY and known.status != ReportStatus.PRELIMINARY:
        return Verdict.STALE
    if known.version is not None and content.version is not None:
        return Verdict.STORED if content.version > known.version else Verdict.STALE
    # At the same second the one that came last is the newer: many senders know no fractions.
    return Verdict.STORED if content.reported_at >= known.reported_at else Verdict.STALE


def status_after(known: ReportStatus | None, sent: ReportStatus) -> ReportStatus:
    """The status of a version: a final one that changes a final one is an amendment, whatever it is called."""
    if sent == ReportStatus.FINAL and known in VERIFIED:
        return ReportStatus.AMENDED
    return sent
