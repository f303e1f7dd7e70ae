"""Patients of the demo: one whom two hospitals know by the same resident ID, one who may be the same and waits.

Resident IDs are of an area that does not exist (policy P1).
"""

from __future__ import annotations

from datetime import date

from common.identifiers.resident_id import check_character
from hospitals import selectors
from sharing.domain.identities import PatientFacts
from sharing.services.candidates import compare_due
from sharing.services.patients import register_patient

ACTOR = "demo"


def _resident_id(first_seventeen: str) -> str:
    return first_seventeen + check_character(first_seventeen)


LI = PatientFacts(
    name="Li^Na=李^娜",
    birth_date=date(1985, 11, 2),
    sex="F",
    resident_id=_resident_id("99010119851102002"),
    phone="19900001102",
)
ZHANG = PatientFacts(
    name="Zhang^Wei=张^伟", birth_date=date(1968, 4, 12), sex="M", phone="19900000412"
)


def seed(*, university: str, county: str, township: str) -> None:
    """Register them; the same again changes nothing."""
    for code, number, facts in (
        (university, "U20240233", LI),
        (county, "C10293", LI),
        (university, "U20240017", ZHANG),
        (township, "S00412", ZHANG),  # without an ID: for a reader to decide
    ):
        institution = selectors.get_institution(code=code)
        register_patient(actor=ACTOR, institution_id=institution.pk, number=number, facts=facts)
    compare_due()
