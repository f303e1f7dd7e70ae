"""What the light viewer can show of a series, in order, from the series' own index document."""

from __future__ import annotations

from typing import Any

from common.archive import keys
from common.archive.documents import InstanceEntry, SeriesIndex
from common.kept import Kept
from common.storage import object_store
from sharing.selectors.gathering import gathered, is_gathered
from sharing.selectors.studies import SeriesPlace

# A revision never changes, so its answer stays until it is crowded out.
_kept: Kept[str, list[dict[str, Any]]] = Kept(entries=200)


def series_slices(place: SeriesPlace) -> list[dict[str, Any]]:
    """One entry per instance that has a picture: its UID and its number of frames, by Instance Number."""
    if not place.prefix:
        return []
    found = _kept.get(place.prefix)
    if found is None:
        index = _index(place.prefix)
        shown = [entry for entry in index.instances if entry.frames.kind != "none"]
        found = [
            {"uid": entry.sop_instance_uid, "frames": max(entry.frames.count, 1)}
            for entry in sorted(shown, key=_order)
        ]
        _kept.put(place.prefix, found)
    return found


def _index(prefix: str) -> SeriesIndex:
    if is_gathered(prefix):
        return gathered(prefix).index
    return SeriesIndex.from_bytes(object_store().get_bytes(keys.index_key(prefix)))


def _order(entry: InstanceEntry) -> tuple[bool, int, str]:
    return (entry.instance_number is None, entry.instance_number or 0, entry.sop_instance_uid)
