"""What can go wrong in sharing."""

from __future__ import annotations

from common.errors import DomainError, Kind


class LeaseLost(DomainError):
    """Another worker has taken this transfer over; what this one did is left for the sweeper."""

    code = "lease-lost"
    kind = Kind.CONFLICT


class NothingRetrieved(DomainError):
    """The hospital lists this series and sent no instance of it that can be kept."""

    code = "nothing-retrieved"
    kind = Kind.UPSTREAM


class SeriesIncomplete(DomainError):
    """The hospital lists more instances than it sent."""

    code = "incomplete"
    kind = Kind.UPSTREAM


class ArchiveDamaged(DomainError):
    """What was read back from the object store is not what was written."""

    code = "archive-damaged"
    kind = Kind.UNAVAILABLE


class PullCrashed(DomainError):
    """The pull of this series met a fault of this system; it is tried again, and the log has the details."""

    code = "pull-crashed"
    kind = Kind.UNAVAILABLE


class InstitutionNotActive(DomainError):
    """The institution is not active: it is not asked for studies."""

    code = "institution-not-active"
    kind = Kind.CONFLICT


class NotRetryable(DomainError):
    """Only a transfer that failed can be tried again."""

    code = "not-retryable"
    kind = Kind.CONFLICT


class PagingUnsupported(DomainError):
    """The hospital's search ignores offset and one day holds more studies than one answer."""

    code = "paging-unsupported"
    kind = Kind.UPSTREAM


class SpoolFailed(DomainError):
    """The local disk did not take the series."""

    code = "spool-failed"
    kind = Kind.UNAVAILABLE


class NotPulledYet(DomainError):
    """This study is known from the hospital's list, and has not been copied into the archive yet."""

    code = "not-pulled-yet"
    kind = Kind.UNAVAILABLE
    retry_after_s = 60


class NoteMissing(DomainError):
    """A case is closed with a note of what was found."""

    code = "note-missing"
    kind = Kind.INVALID


class AlreadySettled(DomainError):
    """The case is closed already."""

    code = "already-settled"
    kind = Kind.CONFLICT


class RenderingBusy(DomainError):
    """Other large pictures are being rendered: ask again in some seconds."""

    code = "rendering-busy"
    kind = Kind.UNAVAILABLE
    retry_after_s = 5
