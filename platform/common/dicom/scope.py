"""What the reader of a data set keeps: attributes, places of long values, open questions."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, TypeAlias

from common.dicom.charset import TextCodec
from common.dicom.json_model import swap_words

Attributes: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bulk:
    """A value that is referred to: its entry in the JSON, its path, where it lies."""

    entry: Attributes
    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixel data element of the data set: native, or fragments behind an offset table."""

    key: str
    vr: str
    offset: int
    length: int
    fragments: tuple[tuple[int, int], ...] | None = None  # None: native
    offset_table: bytes = b""


@dataclass(slots=True)
class Scope:
    """One data set or item while it is read."""

    attributes: Attributes
    codec: TextCodec
    prefix: str
    parent: Scope | None = None
    creators: dict[str, str] | None = None


PIXEL_VRS = {"7FE00008": "OF", "7FE00009": "OD"}


def plain_vr(vr: str) -> str:
    """One VR for a value whose VR nothing settles."""
    return "OW" if " or " in vr else vr


def inline(vr: str, raw: bytes) -> Attributes:
    return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")}


def sort_by_tag(attributes: Attributes) -> None:
    """Attributes in ascending order of their tags (PS3.18 F.2.2)."""
    ordered = sorted(attributes.items())
    attributes.clear()
    attributes.update(ordered)


def first_value(attributes: Attributes, key: str) -> Any:
    """First value of an attribute; None where it is absent or empty."""
    values = attributes.get(key, {}).get("Value")
    return values[0] if values else None


def _pixel_representation(scope: Scope) -> Any:
    owner: Scope | None = scope
    while owner is not None:
        found = first_value(owner.attributes, "00280103")
        if found is not None:
            return found
        owner = owner.parent
    return 0


def resolve(scope: Scope, entry: Attributes, raw: bytes, *, big_endian: bool) -> None:
    """Settle a VR that depends on other elements (PS3.5 section A.1, PS3.3 C.11.1.1.1)."""
    order = "big" if big_endian else "little"
    choice = entry["vr"]
    if choice == "US or SS":
        entry["vr"] = "SS" if _pixel_representation(scope) else "US"
    elif choice == "US or OW" and first_value(scope.attributes, "00283002") == 1:
        entry["vr"] = "US"
    else:
        entry["vr"] = "OW"
    if not raw:
        return
    if entry["vr"] == "OW" or len(raw) % 2:
        entry["vr"] = "OW" if len(raw) % 2 == 0 else "UN"
        swapped = swap_words(raw, 2) if big_endian else raw
        entry["InlineBinary"] = base64.b64encode(swapped).decode("ascii")
        return
    signed = entry["vr"] == "SS"
    entry["Value"] = [
        int.from_bytes(raw[i : i + 2], order, signed=signed)  # type: ignore[arg-type]
        for i in range(0, len(raw), 2)
    ]
