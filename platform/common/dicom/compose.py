"""A DICOM file out of the DICOM JSON Model and bulk values: PS3.18 Annex F and §10.5.2, to PS3.10 section 7.

Written piece by piece: values are in memory, pixels and other bulk values are streamed. Text goes out as UTF-8,
and the file says so.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian

from common.dicom.dictionary import LONG_VRS
from common.dicom.errors import MISSING_UID, UNREADABLE, MalformedDicom
from common.dicom.uids import is_valid_uid

IMPLEMENTATION_CLASS_UID = (
    "2.25.314587802295919297470519957953971882744"  # made once, by PS3.5 section B.2
)
IMPLEMENTATION_VERSION = b"IMAGING-CLOUD"
MAX_DEPTH = 16
MAX_SHORT_BYTES = 0xFFFE
MAX_BULK_BYTES = 32 * 2**20  # of a value other than the pixels, which is held in memory
MAX_ALL_BULK_BYTES = (
    128 * 2**20
)  # of all such values of one data set; several may name the same part
PIXEL_DATA = 0x7FE00010
_TAG = struct.Struct("<HH").pack
_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_PLAIN = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}) | _TEXT
_ONE_VALUE = frozenset({"LT", "ST", "UT", "UR"})
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBERS = {
    "FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q",
}  # fmt: skip
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class BulkValue:
    """What a BulkDataURI stands for: one or more parts, each with its size and its bytes."""

    sizes: Sequence[int]
    chunks: Callable[[int], Iterator[bytes]]  # of the part of this number
    transfer_syntax_uid: str = ""  # of pixels that are compressed


FindBulk = Callable[[str], BulkValue]


def compose(attributes: Mapping[str, Any], *, find_bulk: FindBulk) -> Iterator[bytes]:
    """The file in pieces. ``find_bulk`` gives the value of a BulkDataURI, or raises MalformedDicom.

    Raises:
        MalformedDicom: the attributes are not of the model; before anything of them was given out, but for
            what bulk values raise while they are read.
    """
    pixels = attributes.get("7FE00010")
    syntax, encapsulated = _transfer_syntax(pixels, find_bulk)
    meta = _file_meta(attributes, syntax)
    before, after = _data_set(attributes, _bounded(find_bulk))
    yield b"\0" * 128 + b"DICM" + meta + before
    if isinstance(pixels, Mapping):
        yield from _pixels(pixels, find_bulk, encapsulated=encapsulated)
    yield after


def _bad(text: str) -> MalformedDicom:
    return MalformedDicom(UNREADABLE, text)


def _bounded(find_bulk: FindBulk) -> FindBulk:
    left = MAX_ALL_BULK_BYTES

    def find(uri: str) -> BulkValue:
        nonlocal left
        value = find_bulk(uri)
        size = sum(value.sizes)
        if size > MAX_BULK_BYTES:
            raise _bad("A bulk value other than the pixels is larger than 32 MiB.")
        left -= size
        if left < 0:
            raise _bad("The bulk values other than the pixels are larger than 128 MiB together.")
        return value

    return find


def _transfer_syntax(pixels: Any, find_bulk: FindBulk) -> tuple[str, bool]:
    uri = pixels.get("BulkDataURI") if isinstance(pixels, Mapping) else None
    if isinstance(uri, str):
        syntax = find_bulk(uri).transfer_syntax_uid
        if syntax not in ("", ExplicitVRLittleEndian):
            return syntax, True
    return ExplicitVRLittleEndian, False


def _file_meta(attributes: Mapping[str, Any], syntax: str) -> bytes:
    uids = []
    for tag, name in (("00080016", "SOP Class UID"), ("00080018", "SOP Instance UID")):
        values = _values(attributes.get(tag))
        if not values or not isinstance(values[0], str) or not is_valid_uid(values[0]):
            raise MalformedDicom(
                MISSING_UID, f"The {name} ({tag[:4]},{tag[4:]}) is missing or no UID."
            )
        uids.append(values[0])
    body = _element(0x00020001, "OB", b"\0\1")
    for number, text in (
        (0x00020002, uids[0]),
        (0x00020003, uids[1]),
        (0x00020010, syntax),
        (0x00020012, IMPLEMENTATION_CLASS_UID),
    ):
        body += _element(number, "UI", _padded(text.encode("ascii"), b"\0"))
    body += _element(0x00020013, "SH", _padded(IMPLEMENTATION_VERSION))
    return _element(0x00020000, "UL", struct.pack("<I", len(body))) + body


def _data_set(attributes: Mapping[str, Any], find_bulk: FindBulk) -> tuple[bytes, bytes]:
    """What stands before the pixels and what behind, encoded."""
    elements = _sorted(attributes)
    if any(vr in _TEXT or vr == "SQ" for _, vr, _ in elements):
        elements = [each for each in elements if each[0] != 0x00080005]
        elements.append((0x00080005, "CS", {"Value": ["ISO_IR 192"]}))
        elements.sort(key=lambda each: each[0])
    try:
        before = b"".join(
            _encode(tag, vr, entry, find_bulk, 0) for tag, vr, entry in elements if tag < PIXEL_DATA
        )
        after = b"".join(
            _encode(tag, vr, entry, find_bulk, 0) for tag, vr, entry in elements if tag > PIXEL_DATA
        )
    except (struct.error, UnicodeEncodeError, OverflowError) as error:
        raise _bad("A value does not fit its VR.") from error
    return before, after


def _sorted(attributes: Mapping[str, Any]) -> list[tuple[int, str, Mapping[str, Any]]]:
    found = []
    for name, entry in attributes.items():
        if not isinstance(name, str) or len(name) != 8 or not isinstance(entry, Mapping):
            raise _bad("An attribute is not of the DICOM JSON Model.")
        try:
            tag = int(name, 16)
        except ValueError as error:
            raise _bad("An attribute's name is not eight hexadecimal digits.") from error
        vr = entry.get("vr")
        if vr not in _PLAIN and vr not in _BINARY and vr not in _NUMBERS and vr not in ("AT", "SQ"):
            raise _bad(f"Attribute {name[:4]},{name[4:]} has no VR, or an unknown one.")
        # File meta and group lengths are ours to write (PS3.10 section 7.1, PS3.5 section 7.2).
        if tag >> 16 > 0x0002 and tag & 0xFFFF:
            found.append((tag, str(vr), entry))
    return sorted(found, key=lambda each: each[0])


def _encode(tag: int, vr: str, entry: Mapping[str, Any], find_bulk: FindBulk, depth: int) -> bytes:
    if vr == "SQ":
        return _element(tag, vr, _items(entry, find_bulk, depth + 1))
    raw = _bulk_bytes(entry, find_bulk)
    if raw is None:
        raw = _value(vr, _values(entry))
    return _element(tag, vr, _padded(raw, b" " if vr in _PLAIN and vr != "UI" else b"\0"))


def _items(entry: Mapping[str, Any], find_bulk: FindBulk, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise _bad("Sequences are nested too deeply.")
    raw = b""
    for item in _values(entry):
        if item is not None and not isinstance(item, Mapping):
            raise _bad("An item of a sequence is not an object.")
        body = b"".join(
            _encode(tag, vr, each, find_bulk, depth) for tag, vr, each in _sorted(item or {})
        )
        raw += _TAG(0xFFFE, 0xE000) + struct.pack("<I", len(body)) + body
    return raw


def _values(entry: Any) -> list[Any]:
    values = entry.get("Value", []) if isinstance(entry, Mapping) else []
    if not isinstance(values, list):
        raise _bad("A Value is not an array.")
    return values


def _bulk_bytes(entry: Mapping[str, Any], find_bulk: FindBulk) -> bytes | None:
    if "InlineBinary" in entry:
        return inline_bytes(entry["InlineBinary"])
    uri = entry.get("BulkDataURI")
    if uri is None:
        return None
    value = find_bulk(str(uri))
    return b"".join(chunk for part in range(len(value.sizes)) for chunk in value.chunks(part))


def inline_bytes(text: Any) -> bytes:
    """The bytes of an InlineBinary.

    Raises:
        MalformedDicom: it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise _bad("An InlineBinary is not base64.") from error


def _value(vr: str, values: list[Any]) -> bytes:
    if not values:
        return b""
    if vr in _NUMBERS:
        return struct.pack(f"<{len(values)}{_NUMBERS[vr]}", *(_number(vr, v) for v in values))
    if vr == "AT":
        return b"".join(_tag_value(value) for value in values)
    if vr in _BINARY:
        raise _bad("A binary value stands as InlineBinary or BulkDataURI.")
    if vr == "PN":
        return "\\".join(_name(value) for value in values).encode()
    texts = ["" if value is None else _text(vr, value) for value in values]
    return ("\\".join(texts) if vr not in _ONE_VALUE else texts[0]).encode()


def _number(vr: str, value: Any) -> int | float:
    if isinstance(value, str):
        try:
            value = float(value) if vr in ("FD", "FL") else int(value)  # NaN and Infinity are words
        except ValueError as error:
            raise _bad("A numeric value is not a number.") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad("A numeric value is not a number.")
    return value if vr in ("FD", "FL") else int(value)


def _tag_value(value: Any) -> bytes:
    try:
        number = int(str(value), 16)
    except ValueError as error:
        raise _bad("An AT value is not eight hexadecimal digits.") from error
    return _TAG(number >> 16, number & 0xFFFF)


def _name(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        raise _bad("A person name is not an object of component groups.")
    return "=".join(str(value.get(group) or "") for group in _GROUPS).rstrip("=")


def _text(vr: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _bad("A value is neither text nor a number.")
    if vr == "DS" and isinstance(value, float):
        text = repr(value)
        return text if len(text) <= 16 else f"{value:.10g}"  # PS3.5: at most 16 bytes
    return str(value)


def _padded(raw: bytes, pad: bytes = b" ") -> bytes:
    return raw + pad if len(raw) % 2 else raw


def _element(tag: int, vr: str, raw: bytes) -> bytes:
    if vr in LONG_VRS:
        return _long_header(tag, vr, len(raw)) + raw
    if len(raw) > MAX_SHORT_BYTES:
        raise _bad(f"The value of {tag >> 16:04X},{tag & 0xFFFF:04X} is too long for its VR.")
    return _TAG(tag >> 16, tag & 0xFFFF) + vr.encode("ascii") + struct.pack("<H", len(raw)) + raw


def _long_header(tag: int, vr: str, size: int) -> bytes:
    return _TAG(tag >> 16, tag & 0xFFFF) + vr.encode("ascii") + b"\0\0" + struct.pack("<I", size)


def _pixels(
    entry: Mapping[str, Any], find_bulk: FindBulk, *, encapsulated: bool
) -> Iterator[bytes]:
    vr = "OB" if encapsulated else str(entry.get("vr") or "OW")
    if vr not in ("OB", "OW"):
        raise _bad("The pixels (7FE0,0010) have another VR than OB or OW.")
    uri = entry.get("BulkDataURI")
    if uri is None:
        raw = _padded(inline_bytes(entry.get("InlineBinary", "")), b"\0")
        yield _long_header(PIXEL_DATA, vr, len(raw)) + raw
        return
    value = find_bulk(str(uri))
    if not encapsulated:
        total = sum(value.sizes)
        if total + total % 2 >= _UNDEFINED:
            raise _bad("Native pixels of 4 GiB or more cannot be encoded (PS3.5 section 7.1).")
        yield _long_header(PIXEL_DATA, vr, total + total % 2)
        for part in range(len(value.sizes)):
            yield from value.chunks(part)
        yield b"\0" * (total % 2)
        return
    # One part is one frame, in one fragment; an empty Basic Offset Table (PS3.5 section A.4).
    item = _TAG(0xFFFE, 0xE000)
    yield _long_header(PIXEL_DATA, "OB", _UNDEFINED) + item + b"\0\0\0\0"
    for part, size in enumerate(value.sizes):
        yield item + struct.pack("<I", size + size % 2)
        yield from value.chunks(part)
        yield b"\0" * (size % 2)
    yield _TAG(0xFFFE, 0xE0DD) + b"\0\0\0\0"
