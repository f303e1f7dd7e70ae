"""What can go wrong, said once: a stable code for programs, a kind for the interface, a text for people."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What an error means to the caller; only ``common.problem`` knows its HTTP status."""

    INVALID = "invalid"
    NOT_PERMITTED = "not-permitted"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    UPSTREAM = "upstream"
    UNAVAILABLE = "unavailable"


class DomainError(Exception):
    """A refusal with a reason. The text says what is wrong and what to do; it holds no patient data."""

    code = "error"
    kind = Kind.INVALID

    def __init__(self, message: str = "", **facts: object) -> None:
        super().__init__(message or (self.__doc__ or self.code).strip().splitlines()[0])
        self.facts = facts

    @property
    def message(self) -> str:
        """The text for people."""
        return str(self)


class NotFound(DomainError):
    """There is no such thing, or it may not be seen: both look the same."""

    code = "not-found"
    kind = Kind.NOT_FOUND


class NotPermitted(DomainError):
    """This account may not do that."""

    code = "not-permitted"
    kind = Kind.NOT_PERMITTED
