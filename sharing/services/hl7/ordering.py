"""Orders (ORM^O01, OMI^O23): the accession number is known before the pictures are."""

from __future__ import annotations

from dataclasses import asdict

from django.db.models import Q
from django.utils import timezone

from common.hl7.errors import DUPLICATE_KEY, MessageError
from common.hl7.message import Message
from sharing.domain.hl7.order import OrderLine, orders_of
from sharing.domain.hl7.visit import visit_if_any
from sharing.models import Encounter, LocalPatient, MessageSender, Order
from sharing.services.hl7 import adt


def take_orders(message: Message, sender: MessageSender) -> str:
    """Write every order of the message. An order that is known is changed, never moved to another patient."""
    lines = orders_of(message)
    patient = adt.register(message, sender)
    encounter = _encounter(message, sender)
    for line in lines:
        _write(line, sender, patient, encounter)
    return "order"


def _encounter(message: Message, sender: MessageSender) -> Encounter | None:
    visit = visit_if_any(message)
    if visit is None:
        return None
    return Encounter.objects.filter(
        institution_id=sender.institution_id, visit_number=visit.number
    ).first()


def _write(
    line: OrderLine, sender: MessageSender, patient: LocalPatient, encounter: Encounter | None
) -> None:
    order = _known(line, sender)
    if order is not None and order.patient_id != patient.pk:
        raise MessageError(
            "The order is known as one of another patient.",
            condition=DUPLICATE_KEY,
            location="ORC-2",
        )
    if order is None:
        _require_own_accession(line, sender, patient)
        order = Order(institution_id=sender.institution_id, patient=patient)
    for name, value in asdict(line).items():
        if value:  # silence changes nothing
            setattr(order, name, value)
    order.encounter = encounter or order.encounter
    order.updated_at = timezone.now()
    order.save()


def _known(line: OrderLine, sender: MessageSender) -> Order | None:
    same = Q(placer_number=line.placer_number)
    if line.filler_number:
        same |= Q(filler_number=line.filler_number)
    return (
        Order.objects.select_for_update(no_key=True, of=("self",))
        .filter(same, institution_id=sender.institution_id)
        .order_by("pk")
        .first()
    )


def _require_own_accession(line: OrderLine, sender: MessageSender, patient: LocalPatient) -> None:
    """Several orders may be done under one accession number, for one patient."""
    if line.accession_number and (
        Order.objects.filter(
            institution_id=sender.institution_id, accession_number=line.accession_number
        )
        .exclude(patient=patient)
        .exists()
    ):
        raise MessageError(
            "The accession number is that of another patient's order.",
            condition=DUPLICATE_KEY,
            location="OBR-18",
        )
