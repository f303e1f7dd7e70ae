"""What can go wrong with members of the province, said once."""

from __future__ import annotations

from common.errors import DomainError, Kind, NotFound


class InstitutionUnknown(NotFound):
    """There is no institution with this code."""

    code = "institution-unknown"


class RegionUnknown(NotFound):
    """There is no region with this code."""

    code = "region-unknown"


class ConsortiumUnknown(NotFound):
    """There is no consortium with this code."""

    code = "consortium-unknown"


class RegionNotSaid(DomainError):
    """Several regions exist, so the region has to be said."""

    code = "region-not-said"


class CodeTaken(DomainError):
    """This code is already in use."""

    code = "code-taken"
    kind = Kind.CONFLICT


class CodeInvalid(DomainError):
    """A code has 1 to 64 letters, digits, hyphens or underscores and starts with a letter or digit."""

    code = "code-invalid"


class FieldInvalid(DomainError):
    """A value has not the form that is asked for."""

    code = "field-invalid"


class CreditCodeInvalid(DomainError):
    """The unified social credit code is not valid (policy P2)."""

    code = "credit-code-invalid"


class EndpointMissing(DomainError):
    """This institution has no endpoint yet, and no integrator account that stores."""

    code = "endpoint-missing"
    kind = Kind.CONFLICT


class EndpointInvalid(DomainError):
    """The endpoint's address or settings cannot be used."""

    code = "endpoint-invalid"


class FolderUnusable(DomainError):
    """The folder does not exist or cannot be read."""

    code = "folder-unusable"


class HospitalSuspended(DomainError):
    """This institution is suspended or has left: nothing is asked of it."""

    code = "hospital-suspended"
    kind = Kind.CONFLICT


class StateConflict(DomainError):
    """The institution's state does not allow this."""

    code = "state-conflict"
    kind = Kind.CONFLICT


class ReasonMissing(DomainError):
    """A reason must be said."""

    code = "reason-missing"


class MembershipConflict(DomainError):
    """This account already has this role there at that time."""

    code = "membership-conflict"
    kind = Kind.CONFLICT


class MembershipUnknown(NotFound):
    """There is no such membership here."""

    code = "membership-unknown"


class LastAdministrator(DomainError):
    """Nobody else administers this place: say that it is meant."""

    code = "last-administrator"
    kind = Kind.CONFLICT


class InvitationUnknown(NotFound):
    """There is no such invitation: look whether the whole link was copied."""

    code = "invitation-unknown"


class InvitationEnded(DomainError):
    """This invitation was used, taken back or has expired: ask for a new one."""

    code = "invitation-ended"
    kind = Kind.CONFLICT


class PasswordRefused(DomainError):
    """This password cannot be used."""

    code = "password-refused"


class SystemUnknown(NotFound):
    """There is no such system among those you keep."""

    code = "system-unknown"


class TokenUnknown(NotFound):
    """There is no such token of a system that you keep."""

    code = "token-unknown"
