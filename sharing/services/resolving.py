"""A conflict decided the other way: the bytes that came second become a new revision (ADR 0029).

Nothing is overwritten: the former revision stays in the bucket, the case says who decided and why.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from django.db import transaction

from common.archive.documents import SeriesIndex
from common.archive.pack import PackWriter
from common.audit.services import Actor
from common.dicom.errors import MalformedDicom
from common.dicom.part10 import Instance, read_instance
from common.errors import DomainError
from common.storage import object_store
from sharing.domain.completeness import Listing
from sharing.errors import AlreadySettled, CaseNotTakeable, NoteMissing, StudyBeingStored
from sharing.models import Quarantined, Series, SeriesRevision
from sharing.services import gathering, quarantine, revisions
from sharing.services.locks import GATHER, one_at_a_time
from sharing.services.receiving import JsonSpool, Received, entry_of, json_bytes
from sharing.services.spool import spool_folder


@dataclass(frozen=True)
class _Named:
    study_instance_uid: str
    series_instance_uid: str


def take_theirs(*, actor: Actor, case_id: int, note: str) -> SeriesRevision:
    """Make the bytes of a conflict part of the next revision, in place of those that came first; read it back.

    Raises:
        NoteMissing: it is not decided without a word.
        AlreadySettled: somebody has closed the case.
        CaseNotTakeable: it is no conflict, or the series, the instance or the bytes are not there.
        StudyBeingStored: more is coming into the series at this moment.
        ArchiveDamaged: what is held is not what was written.
    """
    if not note.replace("\x00", "").strip():
        raise NoteMissing
    case = Quarantined.objects.select_related("institution").filter(pk=case_id).first()
    if case is None or case.state != Quarantined.State.OPEN:
        raise AlreadySettled
    series = _series_of(case)
    if series.newest_received:
        gathering.gather(series_id=series.pk)
    with one_at_a_time(GATHER, series.pk):
        revision = _take(actor, case, _series_of(case), note)
    with suppress(DomainError):
        # Not proved now, it is proved with what is overdue.
        gathering.prove(series_id=series.pk)
    return revision


def _series_of(case: Quarantined) -> Series:
    series = (
        Series.objects.select_related("current", "study__institution")
        .filter(
            study__institution_id=case.institution_id,
            study__study_instance_uid=case.study_instance_uid,
            series_instance_uid=case.series_instance_uid,
        )
        .first()
    )
    conflict = case.reason == Quarantined.Reason.CONFLICT
    if not conflict or series is None or not series.is_held:
        raise CaseNotTakeable
    return series


def _take(actor: Actor, case: Quarantined, series: Series, note: str) -> SeriesRevision:
    base = series.current
    if base is None or series.newest_received:
        raise StudyBeingStored
    index = revisions.stored_index(base)
    if case.sop_instance_uid not in revisions.entries_by_uid(index.instances):
        raise CaseNotTakeable
    listing = Listing(count=series.listed_instances)
    with spool_folder("resolve") as folder:
        writer, spool = PackWriter(folder / "series.zip"), JsonSpool(folder / "metadata")
        try:
            received = [
                *revisions.carry_over(
                    index=index,
                    prefix=base.prefix,
                    writer=writer,
                    spool=spool,
                    but=case.sop_instance_uid,
                ),
                _theirs(case, index, writer, spool),
            ]
            sealed = revisions.seal(
                institution_code=series.study.institution.code,
                held=_Named(case.study_instance_uid, case.series_instance_uid),
                number=base.number + 1,
                received=received,
                writer=writer,
                spool=spool,
                character_set=index.character_set,
                listing=listing,
            )
        finally:
            writer.abort()
            spool.close()
    with transaction.atomic():
        locked = Series.objects.select_for_update(no_key=True).filter(pk=series.pk).first()
        if locked is None or locked.current_id != base.pk or locked.newest_received:
            raise StudyBeingStored  # a pull was faster: the objects are for the sweeper
        quarantine.settle(
            actor=actor, case_id=case.pk, note=note, resolution=Quarantined.Resolution.TAKEN
        )
        return revisions.write_rows(series=locked, sealed=sealed, listing=listing)


def _theirs(
    case: Quarantined, index: SeriesIndex, writer: PackWriter, spool: JsonSpool
) -> Received:
    """The quarantined bytes as an entry of the pack.

    Raises:
        CaseNotTakeable: they are not what the case says, or of another study, series or instance.
    """
    writer.begin()
    with object_store().stream(case.object_key) as chunks:
        for chunk in chunks:
            writer.write(chunk)
    offset, length, sha256 = writer.current
    try:
        header = read_instance(
            writer.file, offset=offset, length=length, character_set=index.character_set
        )
    except MalformedDicom as error:
        raise CaseNotTakeable from error
    if sha256 != case.sha256 or _uids(header) != (
        case.study_instance_uid,
        case.series_instance_uid,
        case.sop_instance_uid,
    ):
        raise CaseNotTakeable
    packed = writer.commit(f"{header.sop_instance_uid}.dcm")
    json_offset, json_length = spool.add(json_bytes(header.attributes))
    return Received(entry_of(header, packed), json_offset, json_length)


def _uids(header: Instance) -> tuple[str, str, str]:
    return header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid
