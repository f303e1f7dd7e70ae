"""What can go wrong with a hospital's origin server, typed so that a puller can decide what to do next.

Texts name the fault and never hold an address's query, a secret or an attribute of a patient.
"""

from __future__ import annotations

from common.errors import DomainError, Kind


class OriginError(DomainError):
    """The hospital's archive did not answer as it should."""

    code = "origin-error"
    kind = Kind.UPSTREAM
    retryable = True  # whether asking again later can help without a person changing something


class OriginUnreachable(OriginError):
    """The hospital's archive cannot be reached."""

    code = "origin-unreachable"


class OriginTimeout(OriginError):
    """The hospital's archive stopped answering, or answers too slowly to be useful."""

    code = "origin-timeout"


class OriginRefused(OriginError):
    """The hospital's archive refuses our credentials (401 or 403)."""

    code = "origin-refused"
    retryable = False


class OriginNotFound(OriginError):
    """The hospital's archive does not hold what was asked for."""

    code = "origin-not-found"
    retryable = False


class OriginBusy(OriginError):
    """The hospital's archive asks to be left alone for a while (429 or 503)."""

    code = "origin-busy"

    def __init__(self, message: str = "", *, retry_after_s: float | None = None, **facts: object):
        super().__init__(message, retry_after_s=retry_after_s, **facts)
        self.retry_after_s = retry_after_s


class OriginFailed(OriginError):
    """The hospital's archive reports a fault of its own (5xx)."""

    code = "origin-failed"


class OriginAnswerInvalid(OriginError):
    """The hospital's archive answered with something that is not a DICOMweb answer."""

    code = "origin-answer-invalid"


class OriginCutOff(OriginError):
    """The answer broke off; the parts that were complete before are good."""

    code = "origin-cut-off"


class AddressNotAllowed(OriginError):
    """The address is not one that hospitals may be reached at."""

    code = "address-not-allowed"
    kind = Kind.INVALID
    retryable = False


class MalformedMultipart(DomainError):
    """A multipart payload that does not follow RFC 2046; ``reason`` is one of the constants below."""

    code = "malformed-multipart"
    NO_BOUNDARY = "no-first-boundary"
    LONG_HEADER = "header-too-long"
    CUT_OFF = "cut-off"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason
