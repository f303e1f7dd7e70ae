"""Where each frame of an instance lies, and how to get its bytes without reading the others."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from common.dicom.errors import TRUNCATED, MalformedDicom
from common.dicom.json_model import swap_words
from common.dicom.scope import Attributes, Pixels, first_value
from common.dicom.source import CHUNK_BYTES, inflate

Kind: TypeAlias = Literal["none", "native", "bits", "encapsulated", "deflated"]
Ranges: TypeAlias = tuple[tuple[int, int], ...]
Read: TypeAlias = Callable[[int, int], bytes]

_BITS_OF_FLOATS = {"7FE00008": 32, "7FE00009": 64}
_TAIL_BYTES = 10
_END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one instance. Offsets count from the instance's first byte.

    ``none``: no frame can be addressed. ``native``: equal slices of whole bytes. ``bits``: equal
    slices that start inside a byte. ``encapsulated``: fragments of each frame. ``deflated``: as
    native or bits, but offsets count in the inflated data set, which starts at ``start``.
    """

    kind: Kind = "none"
    count: int = 0
    offset: int = 0  # of the pixel data's value
    length: int = 0
    frame_bits: int = 0
    word: int = 1  # words of this size are swapped: big endian
    fragments: tuple[Ranges, ...] = ()
    start: int = 0
    size: int = 0  # of the instance, deflated only

    def to_json(self) -> dict[str, Any]:
        """A small JSON object; ``from_json`` gives an equal one back."""
        if self.kind == "none":
            return {"kind": "none"}
        if self.kind == "encapsulated":
            flat = [[number for pair in frame for number in pair] for frame in self.fragments]
            return {"kind": "encapsulated", "fragments": flat}
        found: dict[str, Any] = {
            "kind": self.kind,
            "count": self.count,
            "offset": self.offset,
            "length": self.length,
            "bits": self.frame_bits,
        }
        if self.word != 1:
            found["word"] = self.word
        if self.kind == "deflated":
            found |= {"start": self.start, "size": self.size}
        return found

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Frames:
        """The frames that ``to_json`` wrote."""
        if data["kind"] == "none":
            return cls()
        if data["kind"] == "encapsulated":
            fragments = tuple(
                tuple(zip(flat[::2], flat[1::2], strict=True)) for flat in data["fragments"]
            )
            return cls("encapsulated", len(fragments), fragments=fragments)
        return cls(
            data["kind"],
            data["count"],
            data["offset"],
            data["length"],
            data["bits"],
            data.get("word", 1),
            (),
            data.get("start", 0),
            data.get("size", 0),
        )


def frame_ranges(frames: Frames, number: int) -> list[tuple[int, int]] | None:
    """(offset, length) pairs whose bytes in a row are frame ``number`` (from 1).

    None where the frame is no plain range: packed bits, big endian, deflated, or no such frame.
    """
    if not 1 <= number <= frames.count:
        return None
    if frames.kind == "encapsulated":
        return list(frames.fragments[number - 1])
    if frames.kind == "native" and frames.word == 1:
        size = frames.frame_bits // 8
        return [(frames.offset + (number - 1) * size, size)]
    return None


def read_frame(frames: Frames, number: int, read: Read) -> bytes:
    """Frame ``number`` (from 1); ``read(offset, length)`` gives bytes of the instance.

    Native frames come little endian, packed bits start at the first bit; encapsulated ones as they
    are encoded.

    Raises:
        IndexError: there is no such frame.
    """
    if not 1 <= number <= frames.count:
        raise IndexError(number)
    ranges = frame_ranges(frames, number)
    if ranges is not None:
        return b"".join(read(offset, length) for offset, length in ranges)
    if frames.kind == "deflated":
        return _cut(frames, number, lambda offset, length: _inflated(frames, offset, length, read))
    return _cut(frames, number, read)


def _cut(frames: Frames, number: int, read: Read) -> bytes:
    """The bits of a native frame, in whole swapped words, moved to the start of a byte."""
    first = (number - 1) * frames.frame_bits
    last = first + frames.frame_bits
    start, stop = first // 8, -(-last // 8)
    aligned = start - start % frames.word
    end = min(-(-stop // frames.word) * frames.word, frames.length)
    raw = read(frames.offset + aligned, end - aligned)
    raw = swap_words(raw, frames.word)[start - aligned : stop - aligned]
    if frames.frame_bits % 8 == 0 and first % 8 == 0:
        return raw
    # The first pixel is the lowest bit (PS3.5 section 8.1.1), so the whole is one small-endian number.
    bits = int.from_bytes(raw, "little") >> (first % 8)
    bits &= (1 << frames.frame_bits) - 1
    return bits.to_bytes(-(-frames.frame_bits // 8), "little")


def _inflated(frames: Frames, offset: int, length: int, read: Read) -> bytes:
    def chunks() -> Iterator[bytes]:
        for position in range(frames.start, frames.size, CHUNK_BYTES):
            yield read(position, min(CHUNK_BYTES, frames.size - position))

    return inflated_range(chunks(), offset, length)


def inflated_range(chunks: Iterator[bytes], offset: int, length: int) -> bytes:
    """A range of the inflated form of a deflated stream; holds the range and one chunk."""
    found = bytearray()
    position = 0
    for piece in inflate(chunks):
        begin = max(offset - position, 0)
        found += piece[begin : offset + length - position]
        position += len(piece)
        if position >= offset + length:
            break
    if len(found) < length:
        raise MalformedDicom(TRUNCATED, "The inflated data set ends inside the pixel data.")
    return bytes(found)


def _whole(attributes: Attributes, key: str, default: int) -> int | None:
    """A positive whole number; the default where absent, None where it is anything else."""
    value = first_value(attributes, key)
    if value is None:
        return default
    return value if isinstance(value, int) and value > 0 else None


def locate_frames(
    attributes: Attributes,
    pixels: Pixels | None,
    *,
    extended_offsets: bytes = b"",
    big_endian: bool = False,
    deflated: tuple[int, int] | None = None,
    read: Read,
) -> Frames:
    """Frames of the data set with this pixel data; ``none`` where its numbers do not allow any.

    ``deflated`` is (start of the data set, size of the instance) where the data set is deflated.
    """
    if pixels is None:
        return Frames()
    count = _whole(attributes, "00280008", 1)
    if count is None:
        return Frames()
    if pixels.fragments is None:
        frames = _native(attributes, pixels, count, big_endian=big_endian)
        if deflated and frames.kind != "none":
            return replace(frames, kind="deflated", start=deflated[0], size=deflated[1])
        return frames
    if deflated:  # encapsulated inside deflated: no such syntax
        return Frames()
    fragments = _fragments_by_frame(pixels, count, extended_offsets, read)
    return Frames("encapsulated", len(fragments), fragments=fragments) if fragments else Frames()


def _native(attributes: Attributes, pixels: Pixels, count: int, *, big_endian: bool) -> Frames:
    rows, columns = _whole(attributes, "00280010", 0), _whole(attributes, "00280011", 0)
    samples = _whole(attributes, "00280002", 1)
    allocated = _BITS_OF_FLOATS.get(pixels.key) or _whole(attributes, "00280100", 0)
    if not (rows and columns and samples and allocated):
        return Frames()
    bits = rows * columns * samples * allocated
    if first_value(attributes, "00280004") == "YBR_FULL_422":
        bits = bits // 3 * 2  # two chrominance samples for every two pixels (PS3.3 C.7.6.3.1.2)
    # A frame may be missing at the end; those that are there whole can be read.
    count = min(count, pixels.length * 8 // bits)
    if not count:
        return Frames()
    word = 1
    if big_endian:
        word = allocated // 8 if allocated > 8 else (2 if pixels.vr == "OW" else 1)
    plain = bits % 8 == 0
    return Frames("native" if plain else "bits", count, pixels.offset, pixels.length, bits, word)


def _fragments_by_frame(
    pixels: Pixels, count: int, extended_offsets: bytes, read: Read
) -> tuple[Ranges, ...]:
    """Fragments of each frame, from the best source there is; empty where none fits the count."""
    fragments = pixels.fragments or ()
    if not fragments:
        return ()
    for offsets in (_offsets(extended_offsets, "Q", 8), _offsets(pixels.offset_table, "I", 4)):
        grouped = _by_offsets(fragments, offsets) if len(offsets) == count else ()
        if grouped:
            return grouped
    if count == 1:
        return (fragments,)
    if len(fragments) == count:
        return tuple((fragment,) for fragment in fragments)
    return _by_markers(fragments, count, read) if len(fragments) > count else ()


def _offsets(table: bytes, code: str, size: int) -> tuple[int, ...]:
    """Offsets of an extended (PS3.3 C.7.6.3.1.8) or basic (PS3.5 section A.4) offset table."""
    if len(table) % size:
        return ()
    return struct.unpack(f"<{len(table) // size}{code}", table)


def _by_offsets(fragments: Ranges, offsets: tuple[int, ...]) -> tuple[Ranges, ...]:
    """Fragments grouped by the frames' offsets; empty where an offset meets no fragment."""
    origin = fragments[0][0] - 8  # offsets count from the first item behind the table
    index = {start - 8 - origin: i for i, (start, _) in enumerate(fragments)}
    starts = [index.get(offset, -1) for offset in offsets]
    if starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
        return ()
    stops = [*starts[1:], len(fragments)]
    return tuple(fragments[a:b] for a, b in zip(starts, stops, strict=True))


def _by_markers(fragments: Ranges, count: int, read: Read) -> tuple[Ranges, ...]:
    """A frame ends with the fragment that holds the end-of-image marker of JPEG and its kin."""
    grouped: list[Ranges] = []
    current: list[tuple[int, int]] = []
    for offset, length in fragments:
        current.append((offset, length))
        tail = min(_TAIL_BYTES, length)
        if _END_OF_IMAGE in read(offset + length - tail, tail):
            grouped.append(tuple(current))
            current = []
    if current:
        grouped.append(tuple(current))
    return tuple(grouped) if len(grouped) == count else ()
