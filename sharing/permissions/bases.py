"""The reasons for which an examination may be seen, and the roles that decide here."""

from __future__ import annotations

from enum import StrEnum


class Basis(StrEnum):
    """Why an examination may be seen, the strongest first. The value is what the audit keeps."""

    OWN_INSTITUTION = "own-institution"
    CONSORTIUM_AGREEMENT = "consortium-agreement"
    ENCOUNTER = "encounter"
    CONSENT = "consent"
    CONSULTATION = "consultation"
    EMERGENCY = "emergency"
    FILM_SLIP = "film-slip"


_RANK = {basis: rank for rank, basis in enumerate(Basis)}


class Role(StrEnum):
    """The roles of ``hospitals`` that decide here; the values are those of its memberships.

    A patient has no role and no account: who holds a film slip is let in by it (ADR 0030).
    """

    COMMISSION = "commission"
    INSTITUTION_ADMIN = "institution_admin"
    RADIOLOGIST = "radiologist"
    CLINICIAN = "clinician"
    INTEGRATOR = "integrator"
    AUDITOR = "auditor"
    OPERATOR = "operator"


SEE_OWN = frozenset({Role.INSTITUTION_ADMIN, Role.RADIOLOGIST, Role.CLINICIAN, Role.INTEGRATOR})
SEE_CONSORTIUM = frozenset({Role.RADIOLOGIST, Role.CLINICIAN, Role.INTEGRATOR})
# Who treats patients: encounters, consents, emergencies and consultations give sight to these.
TREAT = frozenset({Role.RADIOLOGIST, Role.CLINICIAN})
# At the desk sit its administrator and those who treat; a HIS speaks as the institution's integrator.
DESK = TREAT | {Role.INSTITUTION_ADMIN}
SEE_OPERATION = frozenset({Role.COMMISSION, Role.OPERATOR})
# An institution that left the province neither shares nor is shared with. Of a suspended one (policy I5: a breach
# of what was agreed) nothing is taken from its partners' patients: what it holds stays visible to them, but its own
# people see no partner's. Either way they still see their own.
LEFT = "left"
SEES_NO_PARTNER = frozenset({LEFT, "suspended"})


def strongest(*found: Basis | None) -> Basis | None:
    """The strongest of these reasons; none when there is none."""
    return min((each for each in found if each is not None), key=_RANK.__getitem__, default=None)
