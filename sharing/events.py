"""What sharing announces."""

from __future__ import annotations

from dataclasses import dataclass

from common.events import Event


@dataclass(frozen=True)
class StudyBecameRetrievable(Event):
    """A study is archived and proved: recognition marks it, billing prices it, the slip becomes live."""

    study_id: int
    certificate_number: int


@dataclass(frozen=True)
class InstanceConflictFound(Event):
    """A hospital sent an instance again with other bytes: a case was opened, the first stays."""

    institution_id: int
    quarantined_id: int


@dataclass(frozen=True)
class EmergencyAccessOpened(Event):
    """Somebody broke the glass: the patient is told, the data office reviews it."""

    emergency_id: int
