"""Values that the metadata only refers to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

from common.dicom.bulk import is_plain, read_bulk

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from common.storage.cache import LocalObject
    from sharing.dicomweb.documents import Held


def read_value(
    pack: LocalObject, held: Held, entry: InstanceEntry, path: str
) -> tuple[Iterable[bytes], int]:
    """The value in little endian and its size; streamed where it is a plain range of the pack."""
    offset, length = entry.bulk[path]
    if is_plain(entry.transfer_syntax_uid):
        return pack.stream(entry.offset + offset, length), length
    attributes = orjson.loads(held.metadata(entry.sop_instance_uid))
    value = read_bulk(
        lambda start, size: pack.read(entry.offset + start, size),
        entry.bulk[path],
        vr=vr_at(attributes, path),
        transfer_syntax_uid=entry.transfer_syntax_uid,
        size=entry.size,
    )
    return [value], len(value)


def vr_at(attributes: dict[str, Any], path: str) -> str:
    """The value representation at ``TAG`` or ``TAG.item.TAG``; ``UN`` where the path leads nowhere."""
    place: Any = attributes
    steps = path.split(".")
    try:
        for tag, item in zip(steps[:-1:2], steps[1::2], strict=True):
            place = place[tag]["Value"][int(item)]
        return str(place[steps[-1]]["vr"])
    except (KeyError, IndexError, ValueError, TypeError):
        return "UN"
