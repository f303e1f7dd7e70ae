"""The DICOM JSON Model written as the Native DICOM Model, its XML sibling (PS3.19 A.1, 2024e).

Private elements are written as ``gggg00ee`` with their creator, because block numbers mean nothing in
the model; where that would be ambiguous the whole tag is kept, and it is understood either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydicom.datadict import keyword_for_tag

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
MEDIA_TYPE = "application/dicom+xml"
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}
_IN_ATTRIBUTE = {"\n": "&#10;", "\t": "&#9;"}  # else read back as blanks
# What XML 1.0 has no way to write (section 2.2): control characters, halves of surrogate pairs.
_NEEDS_CARE = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_NEEDS_CARE_IN_ATTRIBUTE = re.compile('[&<>"\\x00-\x1f\ud800-\udfff\ufffe\uffff]')


def native_xml(attributes: Mapping[str, Any]) -> bytes:
    """One data set of the DICOM JSON Model as a Native DICOM Model document in UTF-8.

    Characters that XML cannot hold become U+FFFD. ``BulkDataURI`` goes out as it is: make it absolute before.
    """
    pieces = [
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
    ]
    pieces += _data_set(attributes)
    pieces.append("</NativeDicomModel>\n")
    return "".join(pieces).encode()


def _data_set(attributes: Mapping[str, Any]) -> Iterator[str]:
    creators = _Creators(attributes)
    for key, entry in attributes.items():
        vr = str(entry.get("vr") or "UN")
        yield f'<DicomAttribute tag="{_attribute(creators.tag(key))}" vr="{_attribute(vr)}"'
        if keyword := _keyword(key):
            yield f' keyword="{keyword}"'
        if creator := creators.of(key):
            yield f' privateCreator="{_attribute(creator)}"'
        yield ">"
        yield from _content(vr, entry)
        yield "</DicomAttribute>"


def _content(vr: str, entry: Mapping[str, Any]) -> Iterator[str]:
    if "BulkDataURI" in entry:
        yield f'<BulkData uri="{_attribute(str(entry["BulkDataURI"]))}"/>'
    elif "InlineBinary" in entry:
        yield f"<InlineBinary>{_text(str(entry['InlineBinary']))}</InlineBinary>"
    else:
        for number, value in enumerate(entry.get("Value") or (), start=1):
            yield from _value(vr, number, value)


def _value(vr: str, number: int, value: Any) -> Iterator[str]:
    if vr == "SQ":
        yield f'<Item number="{number}">'
        yield from _data_set(value or {})
        yield "</Item>"
    elif vr == "PN":
        yield f'<PersonName number="{number}">'
        yield from _person_name(value or {})
        yield "</PersonName>"
    elif value is None:  # an empty one among several keeps its number
        yield f'<Value number="{number}"/>'
    else:
        yield f'<Value number="{number}">{_text(_plain(value))}</Value>'


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _person_name(value: Mapping[str, str]) -> Iterator[str]:
    for group in GROUPS:
        if not value.get(group):
            continue
        yield f"<{group}>"
        # What stands behind a fifth caret has no element of its own and stays with the suffix.
        for part, text in zip(NAME_PARTS, str(value[group]).split("^", 4), strict=False):
            if text:
                yield f"<{part}>{_text(text)}</{part}>"
        yield f"</{group}>"


class _Creators:
    """Who reserved which private block of one data set (PS3.5 section 7.8.1)."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._by_block: dict[str, str] = {}
        blocks: dict[tuple[str, str], int] = {}
        for key, entry in attributes.items():
            if is_creator(key) and (values := entry.get("Value")) and isinstance(values[0], str):
                self._by_block[key[:4] + key[6:]] = values[0]
                owner = key[:4], values[0]
                blocks[owner] = blocks.get(owner, 0) + 1
        self._several = {owner for owner, count in blocks.items() if count > 1}

    def of(self, key: str) -> str:
        """The creator of a private element; empty where there is none."""
        return self._by_block.get(key[:6], "") if key[4:6] != "00" else ""

    def tag(self, key: str) -> str:
        creator = self.of(key)
        if not creator or (key[:4], creator) in self._several:
            return key
        return f"{key[:4]}00{key[6:]}"


def is_creator(key: str) -> bool:
    """Whether the tag is that of a private creator."""
    return key[3:4] in "13579BDF" and key[4:6] == "00" and key[6:] >= "10"


@lru_cache(maxsize=20_000)
def _keyword(key: str) -> str:
    try:
        return keyword_for_tag(int(key, 16)) or ""
    except ValueError:
        return ""


def _text(text: str) -> str:
    return _NEEDS_CARE.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)


def _attribute(text: str) -> str:
    escapes = _ESCAPES | _IN_ATTRIBUTE
    return _NEEDS_CARE_IN_ATTRIBUTE.sub(lambda found: escapes.get(found[0], "\ufffd"), text)
