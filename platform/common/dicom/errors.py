"""Why bytes that were sent are not taken as a DICOM instance."""

from __future__ import annotations

from common.errors import DomainError, Kind

NOT_DICOM = "not-dicom"
UNREADABLE = "unreadable"
MISSING_UID = "missing-uid"
BAD_UID = "bad-uid"
TRUNCATED = "truncated"


class MalformedDicom(DomainError):
    """These bytes are not a DICOM instance that can be read.

    ``reason`` is one of the constants above, which are the codes of quarantine too. The text names
    tags and positions, never values: values are patient data.
    """

    code = "malformed-dicom"
    kind = Kind.INVALID

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


class LimitPassed(MalformedDicom):
    """A bound of the reader was passed: no part of the instance is worth a second attempt."""

    def __init__(self, message: str) -> None:
        super().__init__(UNREADABLE, message)
