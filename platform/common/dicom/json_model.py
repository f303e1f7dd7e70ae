"""One value field to the ``Value`` of the DICOM JSON Model (PS3.18 Annex F.2.3)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from common.dicom.charset import TextCodec

Values: TypeAlias = list[Any] | None
Reader: TypeAlias = Callable[[bytes, TextCodec], Values]

_PAD = " \0"
_LATIN = "latin-1"
_MIN_INT64, _MAX_UINT64 = -(2**63), 2**64 - 1


class ValueUnfit(Exception):
    """The bytes are no value of this VR; the element is then kept as UN."""


def _split(text: str) -> Values:
    """Values without padding; an empty one among several is null (F.2.5)."""
    if "\\" not in text:
        text = text.rstrip(_PAD)
        return [text] if text else None
    return [part.rstrip(_PAD) or None for part in text.split("\\")]


def read_plain(raw: bytes, _: TextCodec) -> Values:
    """AS, CS, DA, DT, TM, UI: the default repertoire, trailing padding removed."""
    return _split(raw.decode(_LATIN))


def read_uid(raw: bytes, _: TextCodec) -> Values:
    """UI: as other plain text; a lone NUL pads to even length."""
    return _split(raw.decode(_LATIN).rstrip(_PAD))


def read_title(raw: bytes, _: TextCodec) -> Values:
    """AE: leading and trailing spaces mean nothing (PS3.5 section 6.2)."""
    text = raw.decode(_LATIN)
    if "\\" not in text:
        text = text.strip(_PAD)
        return [text] if text else None
    return [part.strip(_PAD) or None for part in text.split("\\")]


def read_uri(raw: bytes, _: TextCodec) -> Values:
    """UR: one value, backslashes included."""
    text = raw.decode(_LATIN).rstrip(_PAD)
    return [text] if text else None


def read_text(raw: bytes, codec: TextCodec) -> Values:
    """LO, SH, UC: text in the data set's character set, several values possible."""
    return _split(codec.decode(raw))


def read_long_text(raw: bytes, codec: TextCodec) -> Values:
    """LT, ST, UT: one value, backslashes included."""
    text = codec.decode(raw).rstrip(_PAD)
    return [text] if text else None


_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def read_name(raw: bytes, codec: TextCodec) -> Values:
    """PN: an object per name with the component groups that are not empty (F.2.2)."""
    text = codec.decode(raw.rstrip(b" \0"), is_name=True)
    if not text:
        return None
    return [_name(part) for part in text.split("\\")]


def _name(text: str) -> dict[str, str] | None:
    if "=" not in text:
        text = text.rstrip(_PAD)
        return {"Alphabetic": text} if text else None
    parts = (part.rstrip(_PAD) for part in text.split("="))
    return {group: part for group, part in zip(_GROUPS, parts, strict=False) if part} or None


def _integer(text: str) -> int | str | None:
    """An IS as a number; what is none stays as it was written."""
    try:
        number = int(text)
    except ValueError:
        return _integral(text)
    if "_" in text or not _MIN_INT64 <= number <= _MAX_UINT64:
        return text.strip()
    return number


def _integral(text: str) -> int | str | None:
    """``"12.0"``, which devices send as IS, is the number 12; ``"1A"`` stays text."""
    plain = text.strip()
    number = _decimal(plain)
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        return int(number)
    return plain or None


def _decimal(text: str) -> float | str | None:
    try:
        number = float(text)
    except ValueError:
        return text.strip() or None
    if not math.isfinite(number) or "_" in text:
        return text.strip()
    return number


def read_integer_string(raw: bytes, _: TextCodec) -> Values:
    """IS: JSON numbers where they are numbers."""
    text = raw.decode(_LATIN).rstrip(_PAD)
    if not text:
        return None
    if "\\" not in text:
        return [_integer(text)]
    return [_integer(part.rstrip(_PAD)) for part in text.split("\\")]


def read_decimal_string(raw: bytes, _: TextCodec) -> Values:
    """DS: JSON numbers where they are numbers."""
    text = raw.decode(_LATIN).rstrip(_PAD)
    if not text:
        return None
    if "\\" not in text:
        return [_decimal(text)]
    parts = text.split("\\")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return [_decimal(part.rstrip(_PAD)) for part in parts]
    if "_" in text or not all(map(math.isfinite, numbers)):
        return [_decimal(part.rstrip(_PAD)) for part in parts]
    return numbers


def _numbers(code: str, order: str) -> Reader:
    size = struct.calcsize("=" + code)
    one = struct.Struct(order + code).unpack

    def read(raw: bytes, _: TextCodec) -> Values:
        count, rest = divmod(len(raw), size)
        if rest:
            raise ValueUnfit
        if count == 1:
            return list(one(raw))
        return list(struct.unpack(f"{order}{count}{code}", raw))

    return read


def _floats(code: str, order: str) -> Reader:
    read_numbers = _numbers(code, order)

    def read(raw: bytes, codec: TextCodec) -> Values:
        values = read_numbers(raw, codec) or []
        if all(map(math.isfinite, values)):
            return values
        return [value if math.isfinite(value) else _not_finite(value) for value in values]

    return read


def _not_finite(value: float) -> str:
    """JSON has no such number; these words are what JavaScript's ``Number()`` takes back."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _tags(order: str) -> Reader:
    def read(raw: bytes, _: TextCodec) -> Values:
        count, rest = divmod(len(raw), 4)
        if rest:
            raise ValueUnfit
        halves = struct.unpack(f"{order}{count * 2}H", raw)
        return [f"{halves[i]:04X}{halves[i + 1]:04X}" for i in range(0, count * 2, 2)]

    return read


def readers(*, big_endian: bool) -> dict[str, Reader]:
    """The reader of every VR whose values stand in ``Value``."""
    order = ">" if big_endian else "<"
    return {
        "AE": read_title,
        "AS": read_plain,
        "AT": _tags(order),
        "CS": read_plain,
        "DA": read_plain,
        "DS": read_decimal_string,
        "DT": read_plain,
        "FD": _floats("d", order),
        "FL": _floats("f", order),
        "IS": read_integer_string,
        "LO": read_text,
        "LT": read_long_text,
        "PN": read_name,
        "SH": read_text,
        "SL": _numbers("i", order),
        "SS": _numbers("h", order),
        "ST": read_long_text,
        "SV": _numbers("q", order),
        "TM": read_plain,
        "UC": read_text,
        "UI": read_uid,
        "UL": _numbers("I", order),
        "UR": read_uri,
        "US": _numbers("H", order),
        "UT": read_long_text,
        "UV": _numbers("Q", order),
    }


# Word size of the binary VRs: what has to be swapped in a big endian data set (PS3.5 section 7.3).
BINARY_WORDS = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def swap_words(raw: bytes, word: int) -> bytes:
    """Big endian words as little endian ones; a rest shorter than a word stays as it is."""
    if word == 1:
        return raw
    whole = len(raw) - len(raw) % word
    swapped = bytearray(raw)
    for i in range(word):
        swapped[i:whole:word] = raw[word - 1 - i : whole : word]
    return bytes(swapped)
