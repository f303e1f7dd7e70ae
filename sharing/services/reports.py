"""Diagnostic reports taken in, in versions; from a system of the institution, a message or the archive.

Sent again, sent late or sent twice at once, a message changes nothing that is newer: ``sharing.domain.report`` says
what is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from common import audit
from common.dicom.uids import is_valid_uid
from common.errors import NotPermitted
from sharing.domain.report import (
    Known,
    ReportContent,
    ReportStatus,
    Verdict,
    checked,
    status_after,
    verdict,
)
from sharing.errors import (
    AccessionAmbiguous,
    InstitutionNotActive,
    ReportContentInvalid,
    ReportNotOfThisStudy,
    ReportVersionDiffers,
    SeveralInstitutions,
)
from sharing.models import Report, ReportVersion, Study
from sharing.permissions import store_targets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.accounts.models import User
    from common.audit.services import Actor
    from sharing.selectors.reports import ReportOfStudy

Source = ReportVersion.Source  # for who sends and may not import tables
_ACTIVE = "active"
_NUMBER = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,128}")
_ACCESSION = re.compile(r"[^\x00-\x1f\x7f-\x9f\\]{1,64}")
# The namespace of the database's own lock on a Study Instance UID (migration 0006).
_UID_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 20006))"


@dataclass(frozen=True)
class Receipt:
    """What became of a report that was sent: the report, its version now, and whether this message made it."""

    report: Report
    version: ReportVersion
    verdict: Verdict

    @property
    def is_new(self) -> bool:
        """Whether this was the first that was heard of the report."""
        return self.verdict == Verdict.STORED and self.version.number == 1


@dataclass(frozen=True)
class _Named:
    """How a message names report and study."""

    institution_id: int
    number: str
    study_instance_uid: str
    accession_number: str
    patient_number: str


def receive_report(
    *,
    actor: Actor,
    institution_id: int,
    content: ReportContent,
    source: ReportVersion.Source,
    study_instance_uid: str = "",
    accession_number: str = "",
    report_number: str = "",
    patient_number: str = "",
) -> Report:
    """As ``take_in``; for those who need not know what became of it."""
    return take_in(
        actor=actor,
        institution_id=institution_id,
        content=content,
        source=source,
        study_instance_uid=study_instance_uid,
        accession_number=accession_number,
        report_number=report_number,
        patient_number=patient_number,
    ).report


@transaction.atomic
def take_in(
    *,
    actor: Actor,
    institution_id: int,
    content: ReportContent,
    source: ReportVersion.Source,
    study_instance_uid: str = "",
    accession_number: str = "",
    report_number: str = "",
    patient_number: str = "",
) -> Receipt:
    """Keep a version of a report of this institution, unless it is held already or an older one.

    The study is named by its UID or by an accession number; where the index does not know it yet, the report waits for
    it. ``report_number`` is the sender's number of the report, the same in all its versions; without one the study has
    one report. Where ``patient_number`` is given, the study's must be the same.

    Raises:
        NotPermitted: ``actor`` is an account that may not store for this institution.
        InstitutionNotActive: it is, and the institution is suspended or has left.
        ReportContentInvalid: it cannot be kept as it is.
        AccessionAmbiguous: several studies have the number.
        ReportNotOfThisStudy: another patient's, or the report is known as one of another study.
        ReportVersionDiffers: the sender's version is held with another content.
    """
    require_sender(actor, institution_id=institution_id)
    named = _named(
        institution_id, study_instance_uid, accession_number, report_number, patient_number
    )
    kept = checked(content, now=timezone.now())
    study = _study_of(named)
    report = _report_of(named, study)
    current = report.versions.filter(is_current=True).first()
    outcome = _verdict(report, current, kept)
    if outcome == Verdict.STORED or current is None:
        current = _add_version(actor, report, current, kept, source)
    _note(actor, report, current, outcome, source)
    return Receipt(report, current, outcome)


def require_sender(actor: Actor, *, institution_id: int) -> None:
    """The system itself, or an integrator of this very institution while it is active.

    Raises:
        NotPermitted: neither.
        InstitutionNotActive: the institution is suspended or has left.
    """
    if actor is None or isinstance(actor, str):
        return
    targets: Iterable[Any] = store_targets(actor)  # type: ignore[arg-type]
    mine = [each for each in targets if each.institution_id == institution_id]
    if not mine or mine[0].derived_only:
        raise NotPermitted("Only an integrator of the institution may send its reports.")
    if mine[0].institution_state != _ACTIVE:
        raise InstitutionNotActive


def join_waiting(*, limit: int = 1_000) -> int:
    """Join reports with studies that were written in the same moment, when neither saw the other; returns how many.

    By UID that cannot happen (both take the lock of the UID); by accession number it can.
    """
    waiting = Report.objects.filter(study=None, study_instance_uid="").order_by("-pk")[:limit]
    joined = 0
    for report in waiting:
        try:
            study = _by_accession(
                report.institution_id, report.accession_number, report.patient_number
            )
        except (AccessionAmbiguous, ReportNotOfThisStudy):
            continue
        if study is not None:
            joined += Report.objects.filter(pk=report.pk, study=None).update(study=study)
    return joined


def _named(
    institution_id: int, study_uid: str, accession: str, number: str, patient: str
) -> _Named:
    uid, accession, number, patient = (
        each.strip() for each in (study_uid, accession, number, patient)
    )
    if not uid and not accession:
        raise ReportContentInvalid(
            "Name the study: its Study Instance UID or its accession number."
        )
    if uid and not is_valid_uid(uid):
        raise ReportContentInvalid("The Study Instance UID is none.")
    if accession and not _ACCESSION.fullmatch(accession):
        raise ReportContentInvalid("The accession number has over 64 or control characters.")
    for text in filter(None, (number, patient)):
        if not _NUMBER.fullmatch(text):
            raise ReportContentInvalid("A number of the report has over 128 or control characters.")
    default = f"accession:{accession}" if accession else f"study:{uid}"
    return _Named(institution_id, number or default, uid, accession, patient)


def _study_of(named: _Named) -> Study | None:
    if not named.study_instance_uid:
        return _by_accession(named.institution_id, named.accession_number, named.patient_number)
    with connection.cursor() as cursor:
        # Who writes the row of this study at the moment is waited for, or else waits for us and joins the report.
        cursor.execute(_UID_LOCK, [named.study_instance_uid])
    study = Study.objects.filter(
        institution_id=named.institution_id, study_instance_uid=named.study_instance_uid
    ).first()
    if study is None:
        return None
    _require_same(named.patient_number, study.patient_id)
    _require_same(named.accession_number, study.accession_number)
    return study


def _by_accession(institution_id: int, number: str, patient_number: str) -> Study | None:
    studies = Study.objects.filter(institution_id=institution_id, accession_number=number)
    if patient_number:
        same = list(studies.filter(Q(patient_id=patient_number) | Q(patient_id=""))[:2])
        if not same and studies.exists():
            raise ReportNotOfThisStudy
    else:
        same = list(studies[:2])
    if len(same) > 1:
        raise AccessionAmbiguous
    return same[0] if same else None


def _require_same(told: str, known: str) -> None:
    if told and known and told != known:
        raise ReportNotOfThisStudy


def _report_of(named: _Named, study: Study | None) -> Report:
    """The row of the report, locked: of two versions at once one waits for the other."""
    report, created = Report.objects.select_for_update(no_key=True).get_or_create(
        institution_id=named.institution_id,
        number=named.number,
        defaults={
            "study": study,
            "study_instance_uid": named.study_instance_uid,
            "accession_number": named.accession_number,
            "patient_number": named.patient_number,
        },
    )
    if not created:
        _fill_in(report, named, study)
    return report


def _fill_in(report: Report, named: _Named, study: Study | None) -> None:
    """What a later version says of the study and an earlier did not; never another study."""
    if report.study_id and study and report.study_id != study.pk:
        raise ReportNotOfThisStudy
    changes: dict[str, Any] = {}
    for name in ("study_instance_uid", "accession_number", "patient_number"):
        told, known = getattr(named, name), getattr(report, name)
        _require_same(told, known)
        if told and not known:
            changes[name] = told
    if study and not report.study_id:
        changes["study"] = study
    if changes:
        Report.objects.filter(pk=report.pk).update(**changes)
        for name, value in changes.items():
            setattr(report, name, value)


def _verdict(report: Report, current: ReportVersion | None, content: ReportContent) -> Verdict:
    if current is None:
        return Verdict.STORED
    held = report.versions.filter(
        Q(digest=content.digest) | Q(sender_version=content.version or -1)
    )
    digests = [bytes(each) for each in held.values_list("digest", flat=True)]
    if content.digest in digests:
        return Verdict.DUPLICATE
    if digests:
        raise ReportVersionDiffers
    known = Known(
        ReportStatus(current.status),
        current.reported_at,
        current.sender_version,
        bytes(current.digest),
    )
    return verdict(known, content)


def _add_version(
    actor: Actor,
    report: Report,
    current: ReportVersion | None,
    content: ReportContent,
    source: ReportVersion.Source,
) -> ReportVersion:
    if current is not None:
        report.versions.filter(pk=current.pk).update(is_current=False)
    before = ReportStatus(current.status) if current else None
    return ReportVersion.objects.create(
        report=report,
        institution_id=report.institution_id,
        number=current.number + 1 if current else 1,
        is_current=True,
        status=status_after(before, content.status).value,
        title=content.title,
        findings=content.findings,
        impression=content.impression,
        author=content.author,
        verifier=content.verifier,
        reported_at=content.reported_at,
        verified_at=content.verified_at,
        sender_version=content.version,
        source=source,
        sent_by_id=None if actor is None or isinstance(actor, str) else actor.pk,
        digest=content.digest,
        document_series_uid=content.document_series_uid,
        document_instance_uid=content.document_instance_uid,
        document_type=content.document_type,
    )


def _note(
    actor: Actor,
    report: Report,
    version: ReportVersion,
    outcome: Verdict,
    source: ReportVersion.Source,
) -> None:
    audit.record(
        actor,
        "report.receive",
        object_type="sharing.report",
        object_id=report.pk,
        institution_id=report.institution_id,
        study_instance_uid=report.study_instance_uid
        or (report.study.study_instance_uid if report.study else ""),
        purpose="report",
        detail={
            "version": version.number,
            "status": version.status,
            "source": str(source),
            "outcome": outcome.value,
        },
    )


def sending_institution(actor: User, institution_code: str = "") -> int:
    """The institution that ``actor`` sends reports for: the one that is named, else the only one there is.

    Raises:
        NotPermitted: no role allows it, or not there.
        SeveralInstitutions: the message has to say which.
    """
    targets = [each for each in store_targets(actor) if not each.derived_only]
    if institution_code:
        targets = [each for each in targets if each.institution_code == institution_code]
    if not targets:
        raise NotPermitted("Only an integrator of the institution may send its reports.")
    if len(targets) > 1:
        raise SeveralInstitutions("This account works for several institutions: name one.")
    return targets[0].institution_id


def note_view(actor: User, found: Iterable[ReportOfStudy]) -> None:
    """Write into the audit whose reports were read, with the basis on which they were."""
    for each in found:
        report = each.report
        audit.record_view(
            actor,
            "report.view",
            object_type="sharing.report",
            object_id=report.pk,
            institution_id=report.institution_id,
            study_instance_uid=report.study.study_instance_uid if report.study else "",
            basis=each.basis,
            purpose="report",
        )


def note_search(actor: User) -> None:
    """Write into the audit that reports were searched; what for is patient data and stays out."""
    audit.record_view(actor, "report.search", object_type="sharing.report", purpose="search")
