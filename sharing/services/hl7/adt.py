"""Registration (ADT): patients and their visits."""

from __future__ import annotations

from django.utils import timezone

from common.hl7.errors import DATA_TYPE_ERROR, DUPLICATE_KEY, UNKNOWN_KEY, MessageError
from common.hl7.message import Message
from sharing.domain.hl7.patient import patient_of, prior_number
from sharing.domain.hl7.visit import Visit, visit_if_any, visit_of
from sharing.domain.likeness import contradictions
from sharing.errors import AlreadyOnePerson, EncounterInvalid, IdentityMalformed
from sharing.models import Encounter, LinkEvent, LocalPatient, MessageSender
from sharing.services import encounters, linking, patients

_FIELDS = {
    "name": "PID-5", "birth_date": "PID-7", "sex": "PID-8", "phone": "PID-13", "resident_id": "PID-19",
    "insurance_code": "PID-3", "document_type": "PID-3", "document": "PID-3", "card": "PID-3",
}  # fmt: skip
MERGED = "HL7 ADT^A40"


def register(message: Message, sender: MessageSender) -> LocalPatient:
    """The patient of the message's PID, created or brought up to date."""
    number, facts = patient_of(message)
    try:
        return patients.register_patient(
            actor=sender.account,
            institution_id=sender.institution_id,
            issuer=sender.issuer,
            number=number,
            facts=facts,
        )
    except IdentityMalformed as error:
        place = _FIELDS.get(str(error.facts.get("field", "")), "PID")
        raise MessageError(
            f"{place} is not of the form that it must have.",
            condition=DATA_TYPE_ERROR,
            location=place,
        ) from None


def keep_patient(message: Message, sender: MessageSender) -> str:
    """A05, A28, A31: the person, and no visit yet."""
    register(message, sender)
    return "patient"


def admit(message: Message, sender: MessageSender) -> str:
    """A01, A04: the patient is being treated from now on."""
    visit = visit_of(message)
    patient = register(message, sender)
    _open(visit, patient, sender)
    return "encounter-opened"


def readmit(message: Message, sender: MessageSender) -> str:
    """A13: the discharge was a mistake."""
    visit = visit_of(message)
    patient = register(message, sender)
    _open(visit, patient, sender, reopen=True)
    return "encounter-opened"


def update(message: Message, sender: MessageSender) -> str:
    """A08: what is known anew of the patient, and of a visit that is open. Never opens one."""
    visit = visit_if_any(message)
    patient = register(message, sender)
    if visit is not None and (known := _encounter(visit, sender)) and known.closed_at is None:
        _require_same_patient(known, patient)
        _open(visit, patient, sender)
        return "encounter-updated"
    return "patient"


def discharge(message: Message, sender: MessageSender) -> str:
    """A03, A11: the visit has ended, or never was. Of one that is not known only the patient is kept."""
    visit = visit_of(message)
    patient = register(message, sender)
    known = _encounter(visit, sender)
    if known is None:
        return "patient"
    _require_same_patient(known, patient)
    if known.closed_at is None:
        encounters.close_encounter(
            actor=sender.account,
            encounter=known,
            at=visit.discharged_at or visit.happened_at,
        )
    return "encounter-closed"


def merge(message: Message, sender: MessageSender) -> str:
    """A40: two numbers of this institution are one patient's. Both stay; their persons become one.

    Raises:
        MessageError: one of them carries an identity that the other cannot have: a reader decides that.
    """
    prior = prior_number(message)
    survivor = register(message, sender)
    if prior == survivor.number:
        raise MessageError(
            "MRG-1 is the number of PID-3.", condition=DUPLICATE_KEY, location="MRG-1"
        )
    merged = LocalPatient.objects.filter(
        institution_id=sender.institution_id, issuer=sender.issuer, number=prior
    ).first()
    if merged is None:
        return "patient"  # never heard of here: nothing to join
    if contradictions(linking.traits_of(merged), linking.traits_of(survivor)):
        raise MessageError(
            "The patients of MRG-1 and PID-3 have identities that contradict each other.",
            condition=DUPLICATE_KEY,
            location="MRG-1",
        )
    try:
        linking.link(
            actor=sender.account,
            patient=merged,
            to_person=survivor.person,
            ground=LinkEvent.Ground.CORRECTION,
            reason=MERGED,
        )
    except AlreadyOnePerson:
        return "patient"
    return "merged"


def _encounter(visit: Visit, sender: MessageSender) -> Encounter | None:
    return (
        Encounter.objects.select_related("patient")
        .filter(institution_id=sender.institution_id, visit_number=visit.number)
        .first()
    )


def _open(
    visit: Visit, patient: LocalPatient, sender: MessageSender, *, reopen: bool = False
) -> None:
    known = _encounter(visit, sender)
    if known is not None:
        _require_same_patient(known, patient)
    since = known.opened_at if known else visit.happened_at
    try:
        encounters.register_encounter(
            actor=sender.account,
            institution_id=sender.institution_id,
            patient=known.patient if known else patient,  # after a merge the visit keeps its number
            visit_number=visit.number,
            kind=visit.kind,
            opened_at=visit.admitted_at or since or timezone.now(),
            department=visit.department,
            attending=visit.attending,
            source=Encounter.Source.HIS,
            reopen=reopen,
        )
    except EncounterInvalid as error:
        raise MessageError(error.message, location="PV1-44") from error


def _require_same_patient(known: Encounter, patient: LocalPatient) -> None:
    """A visit number that comes with another patient is a mistake of somebody: nobody gets sight by it."""
    if known.patient_id != patient.pk and known.patient.person_id != patient.person_id:
        raise MessageError(
            "The visit is known as one of another patient.",
            condition=UNKNOWN_KEY,
            location="PV1-19",
        )
