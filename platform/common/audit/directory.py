"""How the trail learns an institution's code and name without knowing the module that owns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class InstitutionNames:
    """What is copied into an entry."""

    code: str = ""
    name: str = ""


class Directory(Protocol):
    """Given by the module that owns memberships, when the applications are ready."""

    def institution_of(self, *, user_id: int) -> InstitutionNames:
        """Where this person works; empty for nobody's or several institutions' people."""


class _Nobody:
    def institution_of(self, *, user_id: int) -> InstitutionNames:
        return InstitutionNames()


_directory: Directory = _Nobody()


def set_directory(directory: Directory) -> None:
    """Register the source of institution names; called once, from ``AppConfig.ready``."""
    global _directory  # one per process, set at start
    _directory = directory


def institution_of(*, user_id: int) -> InstitutionNames:
    """The institution to copy into an entry of this person."""
    return _directory.institution_of(user_id=user_id)
