"""A data set from one encoding into another, element by element, values untouched (PS3.5 section 7, A.1 to A.5).

Works on the header in memory; pixels are not its business. What is already in the wanted form is copied as
it is, so that nothing is lost that this code does not understand.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.dicom.dictionary import IMPLICIT, KNOWN_VRS, LONG_VRS, Element, Encoding, Form, Way
from common.dicom.errors import TRUNCATED, UNREADABLE, LimitPassed, MalformedDicom
from common.dicom.json_model import BINARY_WORDS, swap_words

UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MAX_DEPTH = 32
_MAX_SHORT = 0xFFFF
_TAG = struct.Struct("<HH").pack
_U32 = struct.Struct("<I").pack
_END_OF_ITEM = _TAG(0xFFFE, 0xE00D) + _U32(0)
_END_OF_SEQUENCE = _TAG(0xFFFE, 0xE0DD) + _U32(0)
_WORDS = BINARY_WORDS | {
    "AT": 2, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8,
}  # fmt: skip

Changes = Mapping[int, tuple[str, bytes] | None]


@dataclass(slots=True)
class _Scope:
    """What the elements of one data set or item need to know of those before them."""

    signed: bool = False
    creators: dict[str, str] = field(default_factory=dict)


def element(tag: int, vr: str, value: bytes, *, implicit: bool = False) -> bytes:
    """One element in little endian; a value that is too long for its VR becomes UN (PS3.5 section 6.2.2)."""
    head = _TAG(tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + _U32(len(value)) + value
    if vr in LONG_VRS or len(value) > _MAX_SHORT:
        return head + (vr if vr in LONG_VRS else "UN").encode() + b"\0\0" + _U32(len(value)) + value
    return head + vr.encode() + struct.pack("<H", len(value)) + value


def recode(data: bytes, encoding: Encoding, *, implicit: bool, changes: Changes) -> bytes:
    """The elements of ``data`` in Explicit or Implicit VR Little Endian.

    ``changes`` replaces, adds or, with None, takes away elements of the top level. Group lengths and padding
    are left out.

    Raises:
        MalformedDicom: the bytes do not read as elements.
    """
    recoder = _Recoder(data, implicit=implicit)
    pieces, _ = recoder.elements(0, len(data), encoding, _Scope(), depth=0, delimited=False)
    kept = [(tag, piece) for tag, piece in pieces if tag not in changes]
    for tag, change in changes.items():
        if change is not None:
            kept.append((tag, element(tag, *change, implicit=implicit)))
    kept.sort(key=lambda each: each[0])
    return b"".join(piece for _, piece in kept)


class _Recoder:
    def __init__(self, data: bytes, *, implicit: bool) -> None:
        self._data = data
        self._implicit = implicit

    def elements(
        self,
        pos: int,
        end: int,
        encoding: Encoding,
        scope: _Scope,
        *,
        depth: int,
        delimited: bool,
    ) -> tuple[list[tuple[int, bytes]], int]:
        """Tags with their elements, and the position behind them and their delimiter."""
        data = self._data
        found: list[tuple[int, bytes]] = []
        while pos < end:
            if end - pos < 8:
                if data[pos:end].strip(b"\0"):
                    raise MalformedDicom(TRUNCATED, f"Ends inside an element's tag at byte {pos}.")
                return found, end
            head = data[pos : pos + encoding.head_bytes]
            entry = encoding.known.get(head) or encoding.learn(head)
            size, start = self._size(entry, pos, encoding)
            tag = int(entry.key, 16)
            if entry.way is Way.DELIMITER:
                if delimited and tag in (_ITEM_END, _SEQUENCE_END):
                    return found, start if tag == _ITEM_END else pos
                pos = start
                continue
            if size != UNDEFINED and start + size > end:
                raise MalformedDicom(TRUNCATED, f"Element {entry.key} ends beyond its data set.")
            if entry.way is Way.SKIP and size != UNDEFINED:
                pos = start + size
                continue
            if entry.way is Way.PRIVATE and (creator := scope.creators.get(entry.key[:6])):
                entry = encoding.private(entry, creator)
            piece, stop = self._element(tag, entry, pos, start, size, end, encoding, scope, depth)
            found.append((tag, piece))
            self._note(entry, start, stop, encoding, scope)
            pos = stop
        return found, pos

    def _size(self, entry: Element, pos: int, encoding: Encoding) -> tuple[int, int]:
        data = self._data
        if entry.form is Form.SHORT:
            return encoding.u16(data, pos + 6)[0], pos + 8
        if entry.form is Form.IMPLICIT:
            return encoding.u32(data, pos + 4)[0], pos + 8
        if entry.form is Form.ODD and (short := encoding.u16(data, pos + 6)[0]):
            return short, pos + 8
        if len(data) - pos < 12:
            raise MalformedDicom(TRUNCATED, f"Ends inside an element's length at byte {pos}.")
        return encoding.u32(data, pos + 8)[0], pos + 12

    def _element(
        self,
        tag: int,
        entry: Element,
        pos: int,
        start: int,
        size: int,
        end: int,
        encoding: Encoding,
        scope: _Scope,
        depth: int,
    ) -> tuple[bytes, int]:
        vr = self._vr(entry, pos, encoding, scope)
        if size == UNDEFINED:
            if vr in BINARY_WORDS and vr != "UN":  # an icon: fragments in little endian
                return self._fragments(tag, vr, start, end, encoding)
            inner = IMPLICIT if entry.as_implicit else encoding
            return self._sequence(tag, start, end, inner, scope, depth, delimited=True)
        stop = start + size
        differs = encoding.big_endian or encoding.implicit != self._implicit
        if not differs and entry.form in (Form.SHORT, Form.LONG):
            return self._data[pos:stop], stop
        if differs and vr == "SQ":
            try:
                inner = IMPLICIT if entry.as_implicit else encoding
                piece, _ = self._sequence(tag, start, stop, inner, scope, depth, delimited=False)
            except LimitPassed:
                raise
            except MalformedDicom:
                vr = "UN"  # its end is certain, its inside is not: kept whole
            else:
                return piece, stop
        raw = self._data[start:stop]
        if encoding.big_endian and not entry.as_implicit:
            raw = swap_words(raw, _WORDS.get(vr, 1))
        return element(tag, vr, raw, implicit=self._implicit), stop

    def _vr(self, entry: Element, pos: int, encoding: Encoding, scope: _Scope) -> str:
        """The VR to be written: the one that stands there, else that of the dictionary."""
        if not encoding.implicit and entry.form is not Form.IMPLICIT:
            stands = self._data[pos + 4 : pos + 6].decode("latin-1")
            if stands in KNOWN_VRS:
                return stands
        if entry.vr == "US or SS" or entry.vr == "US or SS or OW":
            return "SS" if scope.signed else "US"
        return entry.vr if entry.vr in KNOWN_VRS else "OW"

    def _note(
        self, entry: Element, start: int, stop: int, encoding: Encoding, scope: _Scope
    ) -> None:
        if entry.key == "00280103" and stop - start == 2:
            scope.signed = encoding.u16(self._data, start)[0] == 1
        elif entry.way is Way.CREATOR:
            name = self._data[start:stop].decode("latin-1").rstrip(" \0")
            scope.creators[entry.key[:4] + entry.key[6:]] = name

    def _sequence(
        self,
        tag: int,
        pos: int,
        end: int,
        encoding: Encoding,
        scope: _Scope,
        depth: int,
        *,
        delimited: bool,
    ) -> tuple[bytes, int]:
        """The sequence with undefined lengths, and the position behind it."""
        if depth >= _MAX_DEPTH:
            raise LimitPassed(f"Sequences are nested deeper than {_MAX_DEPTH} levels.")
        head = _TAG(tag >> 16, tag & 0xFFFF) + (b"" if self._implicit else b"SQ\0\0")
        pieces = [head + _U32(UNDEFINED)]
        while pos < end:
            if end - pos < 8:
                raise MalformedDicom(TRUNCATED, f"Ends inside sequence {tag:08X}.")
            mark, size = encoding.tag(self._data, pos), encoding.u32(self._data, pos + 4)[0]
            pos += 8
            if mark == _SEQUENCE_END:
                if delimited:
                    break
                continue
            if mark == _ITEM_END:
                continue
            stop = end if size == UNDEFINED else pos + size
            if mark != _ITEM or stop > end:
                raise MalformedDicom(UNREADABLE, f"No item at byte {pos - 8}.")
            inner = _Scope(scope.signed)
            item, pos = self.elements(
                pos, stop, encoding, inner, depth=depth + 1, delimited=size == UNDEFINED
            )
            pieces.append(_TAG(0xFFFE, 0xE000) + _U32(UNDEFINED))
            pieces += [piece for _, piece in item]
            pieces.append(_END_OF_ITEM)
        pieces.append(_END_OF_SEQUENCE)
        return b"".join(pieces), pos

    def _fragments(
        self, tag: int, vr: str, pos: int, end: int, encoding: Encoding
    ) -> tuple[bytes, int]:
        head = _TAG(tag >> 16, tag & 0xFFFF) + (b"" if self._implicit else vr.encode() + b"\0\0")
        pieces = [head + _U32(UNDEFINED)]
        while pos + 8 <= end:
            mark, size = encoding.tag(self._data, pos), encoding.u32(self._data, pos + 4)[0]
            pos += 8
            if mark == _SEQUENCE_END:
                pieces.append(_END_OF_SEQUENCE)
                return b"".join(pieces), pos
            if mark != _ITEM or pos + size > end:
                break
            pieces.append(_TAG(0xFFFE, 0xE000) + _U32(size) + self._data[pos : pos + size])
            pos += size
        raise MalformedDicom(TRUNCATED, f"Ends inside the fragments of {tag:08X}.")
