"""What of a series is held already: its revision's index, and what was received since."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from common.archive import keys
from common.archive.documents import SeriesIndex
from common.kept import Kept
from common.storage import object_store
from sharing.models import ReceivedInstance, Series

_digests: Kept[str, dict[str, str]] = Kept(entries=500, weight=200_000)


def series_of(*, institution_id: int, study_uid: str, series_uids: Iterable[str]) -> list[Series]:
    """The rows of these series, as far as there are any."""
    return list(
        Series.objects.filter(
            study__institution_id=institution_id,
            study__study_instance_uid=study_uid,
            series_instance_uid__in=list(series_uids),
        ).select_related("current")
    )


def held_digests(series: Series, sop_instance_uids: Collection[str]) -> dict[str, str]:
    """SHA-256 of those of the instances that the series holds."""
    found = digests_of(series.current.prefix if series.current else "", sop_instance_uids)
    rows = ReceivedInstance.objects.filter(
        series_id=series.pk, sop_instance_uid__in=list(sop_instance_uids)
    )
    return found | dict(rows.values_list("sop_instance_uid", "sha256"))


def digests_of(prefix: str, sop_instance_uids: Collection[str]) -> dict[str, str]:
    """SHA-256 of those of the instances that a revision holds; no prefix: no revision."""
    known = _of_revision(prefix) if prefix else {}
    return {uid: known[uid] for uid in sop_instance_uids if uid in known}


def _of_revision(prefix: str) -> dict[str, str]:
    found = _digests.get(prefix)
    if found is None:
        index = SeriesIndex.from_bytes(object_store().get_bytes(keys.index_key(prefix)))
        found = {entry.sop_instance_uid: entry.sha256 for entry in index.instances}
        _digests.put(prefix, found, weight=len(found))
    return found
