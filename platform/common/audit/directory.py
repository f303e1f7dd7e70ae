"""How the trail learns names and pseudonyms without knowing the modules that own them."""

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

    def institution_of(
        self, *, user_id: int, institution_id: int | None = None
    ) -> InstitutionNames:
        """Where this person works; of several institutions that one which the entry is about. Empty for nobody's."""


class _Nobody:
    def institution_of(
        self, *, user_id: int, institution_id: int | None = None
    ) -> InstitutionNames:
        return InstitutionNames()


_directory: Directory = _Nobody()


def set_directory(directory: Directory) -> None:
    """Register the source of institution names; called once, from ``AppConfig.ready``."""
    global _directory  # one per process, set at start
    _directory = directory


def institution_of(*, user_id: int, institution_id: int | None = None) -> InstitutionNames:
    """The institution to copy into an entry of this person, about something of that institution."""
    return _directory.institution_of(user_id=user_id, institution_id=institution_id)


class Subjects(Protocol):
    """Given by the module that owns studies and persons, when the applications are ready."""

    def key_of_study(self, *, institution_id: int, study_instance_uid: str) -> str:
        """The pseudonym of the person whose study this is; empty where none is known."""

    def key_of_person(self, *, person_id: int) -> str:
        """The pseudonym of this person; empty where there is none."""


class _NoSubjects:
    def key_of_study(self, *, institution_id: int, study_instance_uid: str) -> str:
        return ""

    def key_of_person(self, *, person_id: int) -> str:
        return ""


_subjects: Subjects = _NoSubjects()


def set_subjects(subjects: Subjects) -> None:
    """Register the source of pseudonyms; called once, from ``AppConfig.ready``."""
    global _subjects  # one per process, set at start
    _subjects = subjects


def subjects() -> Subjects:
    """The source of pseudonyms."""
    return _subjects
