"""Reports (ORU^R01): read from their lines, and given to the reports of sharing."""

from __future__ import annotations

import datetime as dt

from django.db.models import Q
from django.utils import timezone

from common.hl7.message import Message
from sharing.domain.hl7.patient import local_number
from sharing.domain.hl7.result import Result, results_of
from sharing.domain.report import ReportContent, ReportStatus
from sharing.models import MessageSender, Order, ReportVersion, Study
from sharing.services import reports


def take_reports(message: Message, sender: MessageSender) -> str:
    """Every report of the message, each for the examination that its numbers name."""
    number = local_number(message.needed("PID"), 3)
    for result in results_of(message):
        uid, accession = _examination(result, sender)
        reports.receive_report(
            actor=sender.account,
            institution_id=sender.institution_id,
            study_instance_uid=uid,
            accession_number=accession,
            report_number=result.report_number,
            patient_number=number,
            content=_content(result),
            source=ReportVersion.Source.HL7,
        )
    return "report"


def _content(result: Result) -> ReportContent:
    return ReportContent(
        status=ReportStatus(result.status),
        reported_at=result.reported_at or timezone.now().astimezone(dt.UTC),
        findings=result.findings,
        impression=result.impression,
        title=result.title,
        author=result.author,
        verifier=result.verifier,
    )


def _examination(result: Result, sender: MessageSender) -> tuple[str, str]:
    """UID and accession number: of the message, of the order that it names, or of a study that has such a number.

    A report that comes before both waits under the first number that it has.
    """
    if result.study_instance_uid:
        return result.study_instance_uid, ""
    institution_id, numbers = sender.institution_id, result.numbers
    studies = Study.objects.filter(institution_id=institution_id, accession_number__in=numbers)
    held = set(studies.values_list("accession_number", flat=True))
    for number in numbers:
        if number in held:
            return "", number
    order = (
        Order.objects.filter(
            Q(accession_number__in=numbers)
            | Q(filler_number__in=numbers)
            | Q(placer_number__in=numbers),
            institution_id=institution_id,
        )
        .exclude(accession_number="", study_instance_uid="")
        .order_by("-pk")
        .first()
    )
    if order is None:
        return "", numbers[0]
    # The number goes before the UID: a modality may have made another UID than was ordered.
    return (
        ("", order.accession_number) if order.accession_number else (order.study_instance_uid, "")
    )
