"""Identities of patients: found by keyed hash, opened by context, shown masked (policy P5)."""

from __future__ import annotations

from dataclasses import dataclass

from common.dicom.names import readable_name
from common.privacy import (
    decrypt_text,
    lookup_hash,
    mask_document,
    mask_name,
    mask_phone,
    mask_resident_id,
)
from sharing.models import LocalPatient

_TABLE = "sharing_localpatient"


@dataclass(frozen=True)
class MaskedIdentity:
    """What may stand on a screen without a reason being asked; empty where nothing is known."""

    name: str
    sex: str
    birth_year: int | None
    resident_id: str
    insurance_code: str
    document_type: str
    document: str
    phone: str
    has_card: bool


def identity_hash(name: str, value: str, *, document_type: str = "") -> bytes:
    """The keyed hash by which an identity of a patient is found."""
    text = f"{document_type}:{value}" if name == "document" else value
    return lookup_hash(text, purpose=f"{_TABLE}.{name}")


def context_of(name: str) -> str:
    """The context that an identity is encrypted in: table and column."""
    return f"{_TABLE}.{name}"


def opened(name: str, stored: bytes | memoryview | None) -> str:
    """An encrypted column of a patient in the clear; empty where there is none."""
    return decrypt_text(stored, context=context_of(name)) if stored is not None else ""


def masked_name(person_name: str) -> str:
    """A PN value as its first character and a star: 张*."""
    return mask_name(readable_name(person_name))


def masked_identity(patient: LocalPatient) -> MaskedIdentity:
    """The patient as everybody may read it who may know that it exists."""
    return MaskedIdentity(
        name=masked_name(patient.name),
        sex=patient.sex,
        birth_year=patient.birth_date.year if patient.birth_date else None,
        resident_id=mask_resident_id(opened("resident_id", patient.resident_id)),
        insurance_code=mask_document(opened("insurance_code", patient.insurance_code)),
        document_type=patient.document_type,
        document=mask_document(opened("document", patient.document)),
        phone=mask_phone(opened("phone", patient.phone)),
        has_card=patient.card_hash is not None,
    )
