"""Patients as a HIS or the desk registers them; an identity in full, for a reason."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from common import audit
from common.audit.services import Actor
from common.dicom.names import name_grams, readable_name
from common.errors import NotPermitted
from common.privacy import encrypt, lookup_hash
from sharing.domain.identities import IdentityField, PatientFacts, checked
from sharing.errors import PatientNumberMissing, ReasonRequired
from sharing.models import LinkEvent, LocalPatient
from sharing.permissions import sight_of
from sharing.selectors.identities import context_of, identity_hash, opened
from sharing.selectors.persons import get_patient_in_sight
from sharing.services import linking
from sharing.services.assigning import Said, patients_by_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.accounts.models import User

DOCUMENT_TYPES = frozenset(LocalPatient.DocumentType.values)
_ENCRYPTED = ("resident_id", "insurance_code", "document", "phone")
_PLAIN = ("birth_date", "sex", "document_type", "is_staff")
_GROUNDS = {
    "resident_id_hash": LinkEvent.Ground.RESIDENT_ID,
    "insurance_code_hash": LinkEvent.Ground.INSURANCE_CODE,
    "document_hash": LinkEvent.Ground.DOCUMENT,
}
LONGEST_NUMBER = 128
_LOCK = 0x70617469


@transaction.atomic
def register_patient(
    *, actor: Actor, institution_id: int, issuer: str = "", number: str, facts: PatientFacts
) -> LocalPatient:
    """Create or update the patient of a number, then join it with who carries the same identity.

    The same facts again change nothing. ``actor`` works at the institution, or is a part of this system (a text).

    Raises:
        NotPermitted: the account does not work at the institution.
        PatientNumberMissing: there is no number, or it is too long.
        IdentityMalformed: an identity is not of its form; nothing was written.
    """
    if not isinstance(actor, str) and institution_id not in sight_of(actor).own:  # type: ignore[arg-type]
        raise NotPermitted("Patients are registered by those who work at the institution.")
    number, issuer = number.strip(), issuer.strip()
    if not number or len(number) > LONGEST_NUMBER or len(issuer) > LONGEST_NUMBER:
        raise PatientNumberMissing
    said = checked(facts, document_types=DOCUMENT_TYPES)
    hashes = _hashes(said)
    _lock([lookup_hash(f"{institution_id} {issuer} {number}", purpose="lock"), *hashes.values()])
    patient = _patient(institution_id, issuer, number)
    before = {column: _bytes(getattr(patient, column)) for column in _GROUNDS}
    changed = _apply(patient, said, hashes)
    if changed or patient.registered_at is None:
        patient.registered_at = patient.registered_at or timezone.now()
        patient.compared_at = None
        patient.save()
        audit.record(
            actor, "patient.register", patient, purpose="registration", detail={"fields": changed}
        )
        _link(patient, before)
    return patient


def unmask(*, actor: User, patient: LocalPatient, field: str, reason: str) -> str:
    """One identity in full; the reason is kept in the audit (policy P5).

    Raises:
        NotFound: ``actor`` sees no examination of the patient and does not work where it is registered.
        ReasonRequired: no reason is given.
    """
    wanted = IdentityField(field)
    given = " ".join(reason.split())[: linking.LONGEST_REASON]
    if len(given) < 2:
        raise ReasonRequired
    found, basis = get_patient_in_sight(actor=actor, patient_id=patient.pk)
    audit.record(
        actor,
        "patient.unmask",
        found,
        basis=basis,
        purpose="unmask",
        detail={"field": str(wanted), "reason": given},
    )
    if wanted == IdentityField.NAME:
        return readable_name(found.name)
    return opened(wanted, getattr(found, wanted))


def _patient(institution_id: int, issuer: str, number: str) -> LocalPatient:
    key = (institution_id, issuer, number, "")
    pk, _ = patients_by_number({key: Said(issuer, number, "", None, "")})[key]
    linking.lock_studies([pk])  # before the patient, as everywhere
    return (
        LocalPatient.objects.select_for_update(no_key=True, of=("self",))
        .select_related("person")
        .get(pk=pk)
    )


def _apply(patient: LocalPatient, said: PatientFacts, hashes: dict[str, bytes | None]) -> list[str]:
    """Set what is said; the names of what changed."""
    changed = [
        name for name in _PLAIN if _differs(getattr(said, name), getattr(patient, name), name)
    ]
    for name in changed:
        setattr(patient, name, getattr(said, name))
    if said.name is not None and said.name != patient.name:
        patient.name, patient.name_grams = said.name, name_grams(said.name)
        changed.append("name")
    for column, value in hashes.items():
        if _bytes(getattr(patient, column)) == value:
            continue
        setattr(patient, column, value)
        name = column.removesuffix("_hash")
        changed.append(name)
        if name in _ENCRYPTED:
            setattr(patient, name, _sealed(name, getattr(said, name)))
    return sorted(changed)


def _differs(said: Any, known: Any, name: str) -> bool:
    if said is None or said == known:
        return False
    return not (name == "document_type" and said == "")


def _sealed(name: str, value: str | None) -> bytes | None:
    return encrypt(value, context=context_of(name)) if value else None


def _hashes(said: PatientFacts) -> dict[str, bytes | None]:
    """By column; only of what is said. None: there is none."""
    found: dict[str, bytes | None] = {}
    for each in fields(said):
        value = getattr(said, each.name)
        if each.name in (*_ENCRYPTED, "card") and value is not None:
            kind = said.document_type or ""
            found[f"{each.name}_hash"] = (
                identity_hash(each.name, value, document_type=kind) if value else None
            )
    return found


def _link(patient: LocalPatient, before: dict[str, bytes | None]) -> None:
    lost = [
        ground
        for column, ground in _GROUNDS.items()
        if before[column] is not None and before[column] != _bytes(getattr(patient, column))
    ]
    if lost:
        linking.take_back_by_identity(patient, lost)
        patient.refresh_from_db(fields=["person"])
    linking.link_by_identity(patient)


def _lock(hashes: Sequence[bytes | None]) -> None:
    """Two desks register the same number or identity at once: the second one sees what the first has written."""
    keys = sorted({int.from_bytes(value[:4], signed=True) for value in hashes if value})
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, key])


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
