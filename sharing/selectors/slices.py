"""What the light viewer can show of a series, in order, from the series' own documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from common.archive import documents, keys
from common.archive.documents import InstanceEntry, SeriesIndex
from common.kept import Kept
from common.storage import object_store
from sharing.models import Series
from sharing.selectors.gathering import gathered, is_gathered, prefix_of
from sharing.selectors.studies import SeriesPlace, StudyPlace

# Key Object Selection titles that reject what they refer to (PS3.16 CID 7011).
_REJECTIONS = {"113001", "113037", "113038", "113039"}
# A revision never changes, so its answer stays until it is crowded out.
_kept: Kept[str, list[dict[str, Any]]] = Kept(entries=200)


def series_slices(place: SeriesPlace) -> list[dict[str, Any]]:
    """One entry per instance that has a picture, by Instance Number; no patient in it.

    ``uid``; ``frames``; ``size`` (rows, columns); ``spacing`` (mm from row to row, from column to column) or
    None; ``detector``: the spacing is that of the detector, not of the patient (PS3.3 C.8.11.7.1.1); ``key``:
    a Key Object Selection of the study names it.
    """
    if not place.prefix:
        return []
    found = _kept.get(place.prefix)
    if found is None:
        index, lines = _documents(place.prefix)
        shown = [
            (entry, line)
            for entry, line in zip(index.instances, lines, strict=True)
            if entry.frames.kind != "none"
        ]
        shown.sort(key=lambda each: _order(each[0]))
        found = [_slice(entry, orjson.loads(line)) for entry, line in shown]
        _kept.put(place.prefix, found)
    chosen = key_images(place.study)
    return [{**each, "key": each["uid"] in chosen} for each in found]


def key_images(study: StudyPlace) -> frozenset[str]:
    """SOP Instance UIDs that the Key Object Selections of a study name (PS3.3 A.35.4), rejections left out."""
    found: set[str] = set()
    series = Series.objects.filter(study_id=study.study_id, modality="KO").select_related("current")
    for prefix in filter(None, map(prefix_of, series)):
        for line in _documents(prefix)[1]:
            found |= _referenced(orjson.loads(line))
    return frozenset(found)


def _documents(prefix: str) -> tuple[SeriesIndex, list[bytes]]:
    if is_gathered(prefix):
        series = gathered(prefix)
        return series.index, series.lines
    store = object_store()
    index = SeriesIndex.from_bytes(store.get_bytes(keys.index_key(prefix)))
    return index, documents.metadata_lines(store.get_bytes(keys.metadata_key(prefix)))


def _order(entry: InstanceEntry) -> tuple[bool, int, str]:
    return (entry.instance_number is None, entry.instance_number or 0, entry.sop_instance_uid)


def _slice(entry: InstanceEntry, attributes: Mapping[str, Any]) -> dict[str, Any]:
    spacing = _two(attributes, "00280030") or _two(_shared_measures(attributes), "00280030")
    on_detector = None if spacing else _two(attributes, "00181164")
    return {
        "uid": entry.sop_instance_uid,
        "frames": max(entry.frames.count, 1),
        "size": [_first(attributes, "00280010") or 1, _first(attributes, "00280011") or 1],
        "spacing": spacing or on_detector,
        "detector": on_detector is not None,
    }


def _shared_measures(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pixel Measures of an enhanced multi-frame image, where all its frames share them (PS3.3 C.7.6.16.2.1)."""
    groups = _first(attributes, "52009229") or {}
    return _first(groups, "00289110") or {}


def _referenced(selection: Mapping[str, Any]) -> set[str]:
    title = _first(_first(selection, "0040A043") or {}, "00080100")
    if title in _REJECTIONS:
        return set()
    return {
        uid
        for study in _items(selection, "0040A375")
        for series in _items(study, "00081115")
        for reference in _items(series, "00081199")
        if isinstance(uid := _first(reference, "00081155"), str)
    }


def _two(attributes: Mapping[str, Any], tag: str) -> list[float] | None:
    """Both values, where they are two lengths above nothing."""
    values = _items(attributes, tag)
    fits = len(values) == 2 and all(isinstance(each, int | float) and each > 0 for each in values)
    return [float(each) for each in values] if fits else None


def _first(attributes: Mapping[str, Any], tag: str) -> Any:
    return next(iter(_items(attributes, tag)), None)


def _items(attributes: Mapping[str, Any], tag: str) -> list[Any]:
    found = attributes.get(tag, {}).get("Value", [])
    return [each for each in found if each is not None]
