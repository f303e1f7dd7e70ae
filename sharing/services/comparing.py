"""What a quarantine case is about, beside what the archive holds: digest, size and header fields, never pixels."""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from common.archive import documents, keys
from common.dicom.errors import MalformedDicom
from common.dicom.part10 import read_instance
from common.errors import DomainError
from common.storage import object_store
from sharing.domain.difference import Difference, differences
from sharing.models import Quarantined, ReceivedInstance, Series
from sharing.services import revisions
from sharing.services.receiving import SPECIFIC_CHARACTER_SET, UTF_8
from sharing.services.spool import spool_folder

# Beyond this the header is not read for a page: the whole object would have to be copied first.
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Held:
    """The instance of this UID that the archive holds."""

    sha256: str
    size_bytes: int
    revision: int  # 0: stored, and not packed yet
    header: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Comparison:
    """The two sides of a case. ``readable`` says whether the header of theirs could be read."""

    held: Held | None
    readable: bool
    too_large: bool
    differences: list[Difference]

    @property
    def only_bulk(self) -> bool:
        """Both headers say the same: pixels or padding differ."""
        return self.held is not None and self.readable and not self.differences


def compare(case: Quarantined) -> Comparison:
    """Read both headers; what cannot be read is said, not raised."""
    series = (
        Series.objects.select_related("current")
        .filter(
            study__institution_id=case.institution_id,
            study__study_instance_uid=case.study_instance_uid,
            series_instance_uid=case.series_instance_uid,
        )
        .first()
    )
    held = None
    if series is not None and case.sop_instance_uid:
        # The archive's document is not to be had now: shown as not held.
        with suppress(DomainError):
            held = _held(series, case.sop_instance_uid)
    if case.size_bytes > MOST_BYTES:
        return Comparison(held, readable=False, too_large=True, differences=[])
    theirs = _their_header(case)
    found = differences(held.header, theirs) if held and theirs is not None else []
    return Comparison(held, readable=theirs is not None, too_large=False, differences=found)


def _held(series: Series, uid: str) -> Held | None:
    row = ReceivedInstance.objects.filter(
        series=series, sop_instance_uid=uid, packed_at=None
    ).first()
    if row is not None:
        header = orjson.loads(zlib.decompress(bytes(row.header)))
        return Held(row.sha256, row.size_bytes, 0, header)
    if series.current is None:
        return None
    index = revisions.stored_index(series.current)
    places = {entry.sop_instance_uid: at for at, entry in enumerate(index.instances)}
    if uid not in places:
        return None
    entry = index.instances[places[uid]]
    stored = object_store().get_bytes(keys.metadata_key(series.current.prefix))
    line = documents.metadata_lines(stored)[places[uid]]
    return Held(entry.sha256, entry.size, series.current.number, orjson.loads(line))


def _their_header(case: Quarantined) -> dict[str, Any] | None:
    with spool_folder("compare") as folder, (folder / "case.dcm").open("w+b") as file:
        try:
            with object_store().stream(case.object_key) as chunks:
                for chunk in chunks:
                    file.write(chunk)
            header = read_instance(file, offset=0, length=file.tell())
        except (MalformedDicom, DomainError):
            return None
    if SPECIFIC_CHARACTER_SET not in header.attributes:
        return header.attributes
    # As ours is kept: its texts are UTF-8 there, so what was declared is no difference.
    return {**header.attributes, SPECIFIC_CHARACTER_SET: UTF_8}
