"""Kinds of events of DICOM audit messages (PS3.15 section A.5.3 and CID 400 to 402, 2024e): codes and meanings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# C create, R read, U update, D delete, E execute (PS3.15 table A.5.2-1).
Crud = Literal["C", "R", "U", "D", "E"]
DCM = "DCM"
OURS = "99IMAGINGCLOUD"  # events that the standard does not name


@dataclass(frozen=True)
class Code:
    """A coded value: of DICOM's own terminology unless it says otherwise."""

    value: str
    meaning: str
    scheme: str = DCM


@dataclass(frozen=True)
class EventKind:
    """One kind of event, and its type within the kind where the standard names one."""

    code: Code
    type: Code | None = None

    @property
    def is_security_alert(self) -> bool:
        """Whether the message names what was altered instead of studies and patients (A.5.3.11)."""
        return self.code.value == "110113"

    @property
    def is_about_instances(self) -> bool:
        """Whether the message must name a patient beside the studies."""
        return self.code.value in {"110103", "110104", "110105", "110106", "110107"}


def _alert(value: str, meaning: str) -> EventKind:
    return EventKind(Code("110113", "Security Alert"), Code(value, meaning))


def _login(value: str, meaning: str) -> EventKind:
    return EventKind(Code("110114", "User Authentication"), Code(value, meaning))


LOG_USED = EventKind(Code("110101", "Audit Log Used"))
ACCESSED = EventKind(Code("110103", "DICOM Instances Accessed"))
TRANSFERRED = EventKind(Code("110104", "DICOM Instances Transferred"))
STUDY_DELETED = EventKind(Code("110105", "DICOM Study Deleted"))
EXPORTED = EventKind(Code("110106", "Export"))
ORDER = EventKind(Code("110109", "Order Record"))
PATIENT = EventKind(Code("110110", "Patient Record"))
PROCEDURE = EventKind(Code("110111", "Procedure Record"))
QUERY = EventKind(Code("110112", "Query"))
LOGIN = _login("110122", "Login")
LOGOUT = _login("110123", "Logout")
EMERGENCY_STARTED = _alert("110127", "Emergency Override Started")
EMERGENCY_STOPPED = _alert("110138", "Emergency Override Stopped")
NETWORK = _alert("110128", "Network Configuration")
SECURITY = _alert("110129", "Security Configuration")
RESTRICTED = _alert("110132", "Use of Restricted Function")
OBJECT_RIGHTS = _alert("110135", "Object Security Attributes Changed")
ROLES = _alert("110136", "Security Roles Changed")
USER_RIGHTS = _alert("110137", "User Security Attributes Changed")
OPERATION = EventKind(Code("operation", "Operation of the imaging cloud", OURS))
