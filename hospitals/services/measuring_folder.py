"""Measuring a folder hospital: what its files are, and which of them are broken."""

from __future__ import annotations

import time

from common.dicomweb.folder import FolderOrigin
from hospitals.domain import samples
from hospitals.domain.abilities import Abilities

STUDY_UID, SERIES_UID, SYNTAX = "0020000D", "0020000E", "00083002"
INSTANCES = "00201208"
PAGE = 1000
SAMPLE_STUDIES = 10
BROKEN_NAMED = 20


def measure_folder(origin: FolderOrigin) -> Abilities:
    """Read every header once and count; the first broken files are named with their reason.

    Paging and filters of a folder are our own, so they hold; a folder answers no wildcards.

    Raises:
        OriginError: the folder cannot be read.
    """
    start = time.monotonic()
    studies = _all_studies(origin)
    indexed_ms = round(1000 * (time.monotonic() - start))
    broken = origin.broken_files()
    return Abilities(
        limit=True,
        offset=True,
        stored_syntax=True,
        any_syntax=True,
        transfer_syntaxes=_syntaxes(origin, studies[:SAMPLE_STUDIES]),
        latency_ms={"index": indexed_ms},
        studies_seen=len(studies),
        files=sum(_count(study) for study in studies) + len(broken),
        broken_files=len(broken),
        broken=tuple((name[:300], why[:200]) for name, why in broken[:BROKEN_NAMED]),
    )


def _all_studies(origin: FolderOrigin) -> list[dict[str, object]]:
    studies: list[dict[str, object]] = []
    while page := origin.search_studies(since=None, until=None, limit=PAGE, offset=len(studies)):
        studies += page
    return studies


def _count(study: dict[str, object]) -> int:
    text = samples.value(study, INSTANCES)
    return int(text) if text.isdecimal() else 0


def _syntaxes(origin: FolderOrigin, studies: list[dict[str, object]]) -> tuple[str, ...]:
    found: set[str] = set()
    for study in studies:
        uid = samples.value(study, STUDY_UID)
        for series in origin.search_series(study_instance_uid=uid):
            instances = origin.search_instances(
                study_instance_uid=uid, series_instance_uid=samples.value(series, SERIES_UID)
            )
            found |= {samples.value(instance, SYNTAX) for instance in instances}
    return tuple(sorted(found - {""}))
