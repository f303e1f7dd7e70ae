"""Which instances a series has, from the series' own index document: instances have no row."""

from __future__ import annotations

from dataclasses import dataclass

from common.archive import keys
from common.archive.documents import SeriesIndex
from common.kept import Kept
from common.storage import object_store


@dataclass(frozen=True)
class ListedInstance:
    """One instance by its UIDs and number."""

    sop_instance_uid: str
    sop_class_uid: str
    number: int | None


# A revision never changes; an entry takes some 300 bytes in memory.
_kept: Kept[str, tuple[ListedInstance, ...]] = Kept(entries=500, weight=20_000)


def listed_instances(prefix: str) -> tuple[ListedInstance, ...]:
    """The instances of the revision under ``prefix``, in the order of its index."""
    found = _kept.get(prefix)
    if found is None:
        index = SeriesIndex.from_bytes(object_store().get_bytes(keys.index_key(prefix)))
        found = tuple(
            ListedInstance(each.sop_instance_uid, each.sop_class_uid, each.instance_number)
            for each in index.instances
        )
        _kept.put(prefix, found, weight=len(found))
    return found
