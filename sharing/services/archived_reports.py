"""Reports that lie in the archive itself: DICOM structured reports and encapsulated PDF become reports with text.

The object stays what it is and is opened as such; here is what is found and shown beside the pictures. Run again for
the same study, it changes nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import structlog
from django.db.models import Q
from django.utils import timezone as django_timezone

from common.archive import documents, keys
from common.archive.documents import InstanceEntry, SeriesIndex
from common.dates import parse_dicom_date
from common.dicom.bulk import is_plain, read_bulk
from common.documents.pdf import MOST_BYTES, text_of_pdf
from common.errors import DomainError
from common.storage import object_store
from sharing.domain import structured_report
from sharing.domain.report import ReportContent, ReportStatus
from sharing.domain.structured_report import ENCAPSULATED_PDF, Told
from sharing.models import ReportVersion, Series, Study
from sharing.selectors.gathering import open_pack
from sharing.services import reports

log = structlog.get_logger(__name__)

ACTOR = "archive"
PDF, SR = "application/pdf", "application/dicom"
# A series of pictures is not opened to look for reports; of a few objects, each may be one.
_MODALITIES = ("SR", "DOC", "OT", "")
_FEW = 5
_MAY_HOLD_REPORTS = Q(modality__in=_MODALITIES) | Q(instance_count__lte=_FEW)
_MOST_OF_A_SERIES = 200
_FIRST_YEAR = 1900
_PDF_DATA, _PDF_LENGTH = "00420011", "00420015"


def read_reports(*, study_id: int) -> int:
    """Take in what the study's archived series say; returns how many objects were new reports."""
    study = Study.objects.select_related("institution").filter(pk=study_id).first()
    if study is None:
        return 0
    held = ReportVersion.objects.filter(report__study=study).exclude(document_instance_uid="")
    known = set(held.values_list("document_instance_uid", flat=True))
    found = 0
    held_series = study.series.filter(current__isnull=False).filter(_MAY_HOLD_REPORTS)
    for series in held_series.select_related("current"):
        for index, entry, attributes in _reports(series):
            if entry.sop_instance_uid not in known:  # an object never changes
                found += _take_in(study, series, index, entry, attributes)
    return found


def studies_to_read() -> Iterator[int]:
    """The ids of the studies in which a report may lie, in portions; nothing is read of the others."""
    series = Series.objects.filter(current__isnull=False).filter(_MAY_HOLD_REPORTS)
    ids = series.order_by("study_id").values_list("study_id", flat=True).distinct()
    yield from ids.iterator(chunk_size=2_000)


def _reports(series: Series) -> Iterator[tuple[SeriesIndex, InstanceEntry, dict[str, Any]]]:
    if series.current is None:
        return
    prefix = series.current.prefix
    index = SeriesIndex.from_bytes(object_store().get_bytes(keys.index_key(prefix)))
    wanted = structured_report.REPORT_CLASSES | {ENCAPSULATED_PDF}
    if not any(entry.sop_class_uid in wanted for entry in index.instances):
        return
    lines = documents.metadata_lines(object_store().get_bytes(keys.metadata_key(prefix)))
    for entry, line in list(zip(index.instances, lines, strict=True))[:_MOST_OF_A_SERIES]:
        if entry.sop_class_uid in wanted:
            attributes = orjson.loads(line)
            if structured_report.is_report(entry.sop_class_uid, attributes):
                yield index, entry, attributes


def _take_in(
    study: Study,
    series: Series,
    index: SeriesIndex,
    entry: InstanceEntry,
    attributes: dict[str, Any],
) -> bool:
    is_pdf = entry.sop_class_uid == ENCAPSULATED_PDF
    told = (
        structured_report.read_document(attributes)
        if is_pdf
        else structured_report.read_report(attributes)
    )
    number, status = _number_and_status(study, entry, told)
    at = _instant(told.written, study)
    content = ReportContent(
        status=status,
        reported_at=at,
        findings=text_of_pdf(_pdf(index, entry, attributes)) if is_pdf else told.findings,
        impression=told.impression,
        title=told.title,
        author=told.author,
        verifier=told.verifier,
        verified_at=_moment(told.verified[:8], told.verified[8:]),
        document_series_uid=series.series_instance_uid,
        document_instance_uid=entry.sop_instance_uid,
        document_type=PDF if is_pdf else SR,
    )
    try:
        reports.take_in(
            actor=ACTOR,
            institution_id=study.institution_id,
            content=content,
            source=ReportVersion.Source.PDF if is_pdf else ReportVersion.Source.SR,
            study_instance_uid=study.study_instance_uid,
            report_number=number,
        )
    except DomainError as error:
        log.warning("report.not_taken", study_id=study.pk, code=error.code)
        return False
    return True


def _number_and_status(study: Study, entry: InstanceEntry, told: Told) -> tuple[str, ReportStatus]:
    """An object that replaces another is a further version of that one's report (PS3.3 C.17.2)."""
    held = ReportVersion.objects.filter(
        institution_id=study.institution_id,
        document_instance_uid__in=told.predecessors,
        report__study_instance_uid=study.study_instance_uid,
    )
    before = held.select_related("report").order_by("-pk").first() if told.predecessors else None
    if before is None:
        return entry.sop_instance_uid, told.status
    amends = told.status == ReportStatus.FINAL and before.status != ReportStatus.PRELIMINARY
    return before.report.number, ReportStatus.AMENDED if amends else told.status


def _pdf(index: SeriesIndex, entry: InstanceEntry, attributes: dict[str, Any]) -> bytes:
    """The document's bytes; none where it is too long to be read for its text."""
    element = attributes.get(_PDF_DATA, {})
    if "InlineBinary" in element:
        data = base64.b64decode(element["InlineBinary"])
    elif _PDF_DATA in entry.bulk and entry.bulk[_PDF_DATA][1] <= MOST_BYTES:
        data = _bulk(index, entry, str(element.get("vr", "OB")))
    else:
        return b""
    said = next(iter(attributes.get(_PDF_LENGTH, {}).get("Value", [])), 0)
    return data[:said] if isinstance(said, int) and 0 < said < len(data) else data


def _bulk(index: SeriesIndex, entry: InstanceEntry, vr: str) -> bytes:
    offset, length = entry.bulk[_PDF_DATA]
    with open_pack(index.pack_key) as pack:
        if is_plain(entry.transfer_syntax_uid):
            return pack.read(entry.offset + offset, length)
        return read_bulk(
            lambda start, size: pack.read(entry.offset + start, size),
            entry.bulk[_PDF_DATA],
            vr=vr,
            transfer_syntax_uid=entry.transfer_syntax_uid,
            size=entry.size,
        )


def _instant(written: tuple[str, str], study: Study) -> datetime:
    """When it was written as the object says; when it was found where that lies in the future, by a wrong clock."""
    at = _moment(*written) or _moment(
        study.study_date.strftime("%Y%m%d") if study.study_date else "", study.study_time
    )
    return at if at and at <= django_timezone.now() else study.found_at


def _moment(day: str, time: str) -> datetime | None:
    date = parse_dicom_date(day)
    if date is None or date.year < _FIRST_YEAR:
        return None
    digits, zone = _zone(time.strip().replace(":", ""))
    hour, minute, second = (int(digits[at : at + 2] or 0) for at in (0, 2, 4))
    if hour > 23 or minute > 59:
        hour = minute = second = 0
    return datetime(
        date.year, date.month, date.day, hour, minute, min(second, 59), tzinfo=zone
    ).astimezone(UTC)


def _zone(time: str) -> tuple[str, Any]:
    """The digits of a TM, or of the end of a DT with its offset (PS3.5 Table 6.2-1)."""
    for sign in "+-":
        digits, found, offset = time.partition(sign)
        if found and len(offset) == 4 and offset.isdigit():
            minutes = int(offset[:2]) * 60 + int(offset[2:])
            if minutes < 24 * 60:
                shift = timedelta(minutes=minutes if sign == "+" else -minutes)
                return _digits(digits), timezone(shift)
    return _digits(time), django_timezone.get_default_timezone()


def _digits(time: str) -> str:
    whole = time.partition(".")[0]
    return whole[:6] if whole.isdigit() and len(whole) % 2 == 0 else ""
