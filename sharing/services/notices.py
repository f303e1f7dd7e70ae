"""What patients are told. How it goes out is the notifier's; that it did, and what it said, is kept."""

from __future__ import annotations

from typing import Protocol

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from common.privacy import mask_phone
from sharing.models import EmergencyAccess, LocalPatient, PatientNotice
from sharing.selectors.identities import opened

log = structlog.get_logger(__name__)


class Notifier(Protocol):
    """Sends a text to a phone. A gateway of a province is one more of these."""

    name: str

    def send(self, *, phone: str, text: str) -> None: ...


class ConsoleNotifier:
    """For demonstrations and development: a line in the log, the number masked."""

    name = "console"

    def send(self, *, phone: str, text: str) -> None:
        log.info("notice.sent", to=mask_phone(phone), text=text)


class RecordedNotifier:
    """Sends nothing: a gateway of the hospital takes what is recorded."""

    name = "recorded"

    def send(self, *, phone: str, text: str) -> None:
        """The record itself is the message."""


NOTIFIERS: dict[str, Notifier] = {
    each.name: each for each in (ConsoleNotifier(), RecordedNotifier())
}


@transaction.atomic
def tell_of_emergency(*, emergency_id: int) -> PatientNotice:
    """Tell the patient that somebody opened the examinations in an emergency. Once, however often it is asked."""
    access = EmergencyAccess.objects.select_related("institution", "patient").get(pk=emergency_id)
    known = PatientNotice.objects.filter(emergency=access).first()
    if known is not None:
        return known
    notifier = NOTIFIERS[settings.PATIENT_NOTIFIER]
    with translation.override("zh-hans"):
        text = _(
            "Your examinations were opened in an emergency at %(hospital)s. "
            "If you were not treated there, tell the hospital."
        ) % {"hospital": access.institution.name}
    phone = _phone(access.patient)
    if phone:
        notifier.send(phone=phone, text=text)
    state = PatientNotice.State.SENT if phone else PatientNotice.State.NO_ADDRESS
    return PatientNotice.objects.create(
        kind=PatientNotice.Kind.EMERGENCY,
        patient=access.patient,
        emergency=access,
        state=state,
        channel=notifier.name,
        text=text,
    )


def _phone(patient: LocalPatient) -> str:
    """Of the patient, or of any other that is the same person."""
    rows = LocalPatient.objects.filter(person_id=patient.person_id, phone__isnull=False)
    found = min(rows, key=lambda each: each.pk != patient.pk, default=None)
    return opened("phone", found.phone) if found is not None else ""
