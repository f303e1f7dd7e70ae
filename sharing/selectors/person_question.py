"""A question about persons, and what it means for the rows of patients and of studies."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from django.db.models import Exists, OuterRef, Q

from common.dicom.names import query_grams
from common.identifiers.resident_id import MalformedResidentId, parse_resident_id
from sharing.domain.body_parts import BodyPart, pattern_of, terms_of
from sharing.domain.identities import phone_digits
from sharing.errors import IdentityMalformed
from sharing.models import Series
from sharing.selectors.identities import identity_hash


@dataclass(frozen=True)
class PersonSearch:
    """A question about persons; all that is given must hold. Nothing of it may stand in an address."""

    resident_id: str = field(default="", repr=False)
    insurance_code: str = field(default="", repr=False)
    document_type: str = ""
    document: str = field(default="", repr=False)
    card: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    sex: str = ""
    birth_date: date | None = None
    accession_number: str = field(default="", repr=False)
    institution_code: str = ""
    since: date | None = None
    until: date | None = None
    modality: str = ""
    body_part: str = ""
    page: int = 1

    @property
    def is_exact(self) -> bool:
        """Whether it names one person for sure."""
        return bool(
            self.resident_id
            or self.insurance_code
            or self.card
            or (self.document and self.document_type)
            or (self.number and self.institution_code)
        )

    @property
    def about_studies(self) -> bool:
        return bool(
            self.accession_number or self.since or self.until or self.modality or self.body_part
            or (self.institution_code and not self.number)
        )  # fmt: skip

    @property
    def about_patients(self) -> bool:
        return bool(self.phone or self.number or self.name or self.birth_date)


def of_patients(search: PersonSearch) -> Q:
    """The condition on patients.

    Raises:
        IdentityMalformed: the resident ID is none.
    """
    found = Q()
    for name, value in (
        ("resident_id", _resident_id(search.resident_id)),
        ("insurance_code", search.insurance_code.strip()),
        ("card", search.card.strip()),
        ("phone", phone_digits(search.phone)),
    ):
        if value:
            found &= Q(**{f"{name}_hash": identity_hash(name, value)})
    if search.document:
        kind = search.document_type
        hashed = identity_hash("document", search.document.strip(), document_type=kind)
        found &= Q(document_hash=hashed)
    if search.number:
        found &= Q(number=search.number.strip())
        if search.institution_code:
            found &= Q(institution__code=search.institution_code)
    if search.name:
        grams = query_grams(search.name)
        found &= Q(name_grams__contains=grams) if grams else Q(pk__in=[])
    if search.birth_date:
        found &= Q(birth_date=search.birth_date)
    if search.sex:
        found &= Q(sex=search.sex)
    return found


def _resident_id(text: str) -> str:
    if not text.strip():
        return ""
    try:
        return parse_resident_id(text).number
    except MalformedResidentId as error:
        raise IdentityMalformed(str(error), field="resident_id") from None


def of_studies(search: PersonSearch) -> Q:
    """The condition on studies: what is asked of patients is not in it."""
    found = Q()
    for name, value in (
        ("accession_number", search.accession_number.strip()),
        ("institution__code", "" if search.number else search.institution_code),
        ("study_date__gte", search.since),
        ("study_date__lte", search.until),
    ):
        if value:
            found &= Q(**{name: value})
    if search.modality:
        found &= Q(modalities__contains=[search.modality.strip().upper()])
    if search.body_part:
        found &= _of_body_part(search.body_part)
    if not search.about_patients and search.sex:
        found &= Q(patient_sex=search.sex)
    return found


def _of_body_part(part: str) -> Q:
    region = BodyPart(part) if part in set(BodyPart) else None
    if region is None:
        return Q(
            Exists(Series.objects.filter(study=OuterRef("pk"), body_part_examined=part.upper()))
        )
    examined = Series.objects.filter(study=OuterRef("pk"), body_part_examined__in=terms_of(region))
    return Q(study_description__iregex=pattern_of(region)) | Q(Exists(examined))
