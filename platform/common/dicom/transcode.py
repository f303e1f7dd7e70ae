"""A stored instance as a file in another transfer syntax, written while it is read (PS3.10, PS3.5 Annex A).

At most the header and two frames are in memory. The data set is copied element by element; what changes is
what the standard asks for: the file meta information, the pixels, and the attributes that describe them.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from common.dicom.bulk import Ranges
from common.dicom.codecs import NATIVE_TARGETS, NotDecodable, Recipe, recipe
from common.dicom.codecs.decoding import CODECS, NATIVE
from common.dicom.compose import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from common.dicom.dictionary import Encoding
from common.dicom.errors import TRUNCATED, MalformedDicom
from common.dicom.frames import Frames, read_frame
from common.dicom.json_model import BINARY_WORDS, swap_words
from common.dicom.part10 import encoding_of, read_file_meta
from common.dicom.recode import Changes, element, recode
from common.dicom.scope import first_value
from common.dicom.source import InflatedSource, Source

MAX_HEADER_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20
_PIXEL_KEYS = ("7FE00010", "7FE00008", "7FE00009")
_MOST_NATIVE_BYTES = 0xFFFFFFFE
_UNDEFINED = b"\xff\xff\xff\xff"
_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0" + bytes(4)
# Transfer syntaxes that are lossy whatever the encoder was told.
_LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.53": "ISO_10918_1",
    "1.2.840.10008.1.2.4.55": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
}


@dataclass(frozen=True)
class StoredInstance:
    """A stored instance, as its index describes it; ``read(offset, length)`` gives its bytes."""

    read: Callable[[int, int], bytes]
    size: int
    transfer_syntax_uid: str
    attributes: Mapping[str, Any]
    frames: Frames
    bulk: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def pixel_key(self) -> str:
        """The element that holds its pixels; empty where there is none."""
        return next((key for key in _PIXEL_KEYS if key in self.attributes), "")


def transcoding(stored: StoredInstance, target_uid: str) -> Transcoding:
    """The instance in another transfer syntax; decided by its header, before a byte is given out.

    Raises:
        NotDecodable, NotEncodable: with the reason.
    """
    key = stored.pixel_key
    if key != "7FE00010":
        # No pixels, or floating point ones: nothing that a compressed form could be made of.
        if stored.transfer_syntax_uid not in NATIVE and stored.transfer_syntax_uid not in CODECS:
            raise NotDecodable("The transfer syntax of this instance is not read here.")
        if target_uid not in NATIVE_TARGETS:
            target_uid = str(ExplicitVRLittleEndian)
        found = recipe({}, str(ExplicitVRLittleEndian), target_uid)
    else:
        found = recipe(stored.attributes, stored.transfer_syntax_uid, target_uid)
        compressed = stored.transfer_syntax_uid in CODECS or found.target is not None
        if compressed and not stored.frames.count:
            raise NotDecodable("The frames of this instance cannot be told apart.")
        if found.target is None and compressed:
            total = stored.frames.count * found.spec.native_bytes
            if total > _MOST_NATIVE_BYTES:
                raise NotDecodable("The native pixels are larger than a file can say (4 GiB).")
    return Transcoding(stored, target_uid, found)


class Transcoding:
    """One instance on its way into another transfer syntax."""

    def __init__(self, stored: StoredInstance, target_uid: str, found: Recipe) -> None:
        self._stored, self._target_uid, self._recipe = stored, target_uid, found
        self.transfer_syntax_uid = target_uid
        self._implicit = target_uid == ImplicitVRLittleEndian
        self._compressed = stored.transfer_syntax_uid in CODECS

    @cached_property
    def sop_instance_uid(self) -> str:
        """The stored one; another one, always the same, where the pixels lose something (PS3.3 C.7.6.1.1.5)."""
        own = str(first_value(dict(self._stored.attributes), "00080018") or "")
        if not self._is_lossy:
            return own
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{own} {self._target_uid}').int}"

    @property
    def _is_lossy(self) -> bool:
        target = self._recipe.target
        return bool(target is not None and target.lossy and self._stored.pixel_key)

    def chunks(self) -> Iterator[bytes]:
        """The file. Its first frame is made before the first byte is given out.

        Raises:
            NotDecodable, NotEncodable, MalformedDicom: a frame is damaged; in the middle of the file, if
                it is not the first.
        """
        stored = self._stored
        body, start, end = self._body()
        encoding = self._encoding()
        if not stored.pixel_key:
            header = self._whole(body, start, end)
            yield self._meta() + recode(header, encoding, implicit=self._implicit, changes={})
            return
        offset, length = stored.bulk[stored.pixel_key]
        header = self._header(body, start, offset, encoding)
        frames = self._frames(body, offset, length) if self._by_frame else iter(())
        first = next(frames, b"")
        changes = self._changes(len(first))
        yield self._meta() + recode(header, encoding, implicit=self._implicit, changes=changes)
        if not self._by_frame:
            yield from self._same_pixels(body, offset, length, encoding)
        elif self._recipe.target is None:
            yield from self._native_pixels(first, frames)
        else:
            yield from self._encapsulated(first, frames)
        tail = self._whole(body, offset + length, end)
        yield recode(tail, encoding, implicit=self._implicit, changes={})

    @property
    def _by_frame(self) -> bool:
        return self._compressed or (
            self._recipe.target is not None and bool(self._stored.pixel_key)
        )

    # -- the header ------------------------------------------------------------------------------

    def _body(self) -> tuple[Source, int, int | None]:
        """The data set: where positions count from, where it starts, where it ends if that is known."""
        stored = self._stored
        source = Ranges(stored.read, stored.size)
        meta = read_file_meta(source)
        if meta.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            return InflatedSource(source, start=meta.data_set_start), 0, None
        return source, meta.data_set_start, stored.size

    def _encoding(self) -> Encoding:
        body, start, _ = self._body()  # of its own: a deflated one is read forwards only
        return encoding_of(body.read(start, 6), self._stored.transfer_syntax_uid)

    def _header(self, body: Source, start: int, offset: int, encoding: Encoding) -> bytes:
        """What stands before the pixel data element."""
        if offset - start > MAX_HEADER_BYTES:
            raise NotDecodable("The header of this instance is too large to be written anew.")
        header = self._read(body, start, offset - start)
        tag = int(self._stored.pixel_key, 16)
        long_form = len(header) >= 12 and encoding.tag(header, len(header) - 12) == tag
        return header[: -12 if long_form and not encoding.implicit else -8]

    def _whole(self, body: Source, start: int, end: int | None) -> bytes:
        """All from here on."""
        most = MAX_HEADER_BYTES if end is None else end - start
        if most > MAX_HEADER_BYTES:
            raise NotDecodable("This instance is too large to be written anew.")
        return self._read(body, start, most, exact=end is not None)

    @staticmethod
    def _read(body: Source, start: int, size: int, *, exact: bool = True) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = body.read(start + len(found), min(_CHUNK_BYTES, size - len(found)))
            if not piece:
                break
            found += piece
        if exact and len(found) < size:
            raise MalformedDicom(TRUNCATED, "The instance ends before its end.")
        return bytes(found)

    def _meta(self) -> bytes:
        attributes = dict(self._stored.attributes)
        body = element(0x00020001, "OB", b"\0\1")
        for tag, uid in (
            (0x00020002, str(first_value(attributes, "00080016") or "")),
            (0x00020003, self.sop_instance_uid),
            (0x00020010, self._target_uid),
            (0x00020012, IMPLEMENTATION_CLASS_UID),
        ):
            body += element(tag, "UI", _even(uid.encode("ascii"), b"\0"))
        body += element(0x00020013, "SH", _even(IMPLEMENTATION_VERSION, b" "))
        length = element(0x00020000, "UL", struct.pack("<I", len(body)))
        return bytes(128) + b"DICM" + length + body

    def _changes(self, first_frame_bytes: int) -> Changes:
        """Attributes of the Image Pixel Module that go with the new form (PS3.5 section 8.2)."""
        if not self._by_frame:
            return {}
        spec = self._recipe.spec
        interpretation = self._recipe.photometric_interpretation
        changes: dict[int, tuple[str, bytes] | None] = {
            0x00280004: ("CS", _text(interpretation)),
            0x7FE00001: None,  # offsets of fragments that are no more
            0x7FE00002: None,
        }
        if spec.samples > 1:
            changes[0x00280006] = ("US", struct.pack("<H", int(self._recipe.by_plane)))
        method = _LOSSY.get(self._stored.transfer_syntax_uid)
        if method and "00282110" not in self._stored.attributes:
            # Its transfer syntax said so until now (PS3.3 C.7.6.1.1.5).
            changes[0x00282110] = ("CS", b"01")
            changes[0x00282114] = ("CS", _text(method))
        if self._is_lossy:
            changes |= self._loss(first_frame_bytes)
        return changes

    def _loss(self, first_frame_bytes: int) -> dict[int, tuple[str, bytes] | None]:
        """What says that and how pixels were lost, and of which instance this is derived."""
        attributes = dict(self._stored.attributes)
        ratio = self._recipe.spec.native_bytes / max(first_frame_bytes, 1)
        ratios = [*_values(attributes, "00282112"), f"{ratio:.3f}"]
        methods = [*_values(attributes, "00282114"), "ISO_10918_1"]
        kinds = ["DERIVED", *(_values(attributes, "00080008")[1:] or ["SECONDARY"])]
        source = element(0x00081150, "UI", _uid(attributes, "00080016"), implicit=self._implicit)
        source += element(0x00081155, "UI", _uid(attributes, "00080018"), implicit=self._implicit)
        item = _ITEM + struct.pack("<I", len(source)) + source
        return {
            0x00080008: ("CS", _text("\\".join(kinds))),
            0x00080018: ("UI", _even(self.sop_instance_uid.encode("ascii"), b"\0")),
            0x00082111: ("ST", _text("Lossy compression for retrieval")),
            0x00082112: ("SQ", item),
            0x00282110: ("CS", b"01"),
            0x00282112: ("DS", _text("\\".join(ratios))),
            0x00282114: ("CS", _text("\\".join(methods))),
        }

    # -- the pixels ------------------------------------------------------------------------------

    def _frames(self, body: Source, offset: int, length: int) -> Iterator[bytes]:
        """Each frame in its new form."""
        stored = self._stored
        if stored.frames.kind != "deflated":
            for number in range(1, stored.frames.count + 1):
                yield self._recipe.frame(read_frame(stored.frames, number, stored.read))
            return
        # Forwards, once: each frame on its own would inflate all before it.
        size = stored.frames.frame_bits // 8
        for number in range(stored.frames.count):
            yield self._recipe.frame(self._read(body, offset + number * size, size))

    def _same_pixels(
        self, body: Source, offset: int, length: int, encoding: Encoding
    ) -> Iterator[bytes]:
        """Native pixels stay what they are, in little endian."""
        key = self._stored.pixel_key
        vr = str(self._stored.attributes[key].get("vr") or "OW")
        word = self._stored.frames.word
        if encoding.big_endian and word == 1 and not self._stored.frames.count:
            word = BINARY_WORDS.get(vr, 1)
        yield self._pixel_head(vr, length + length % 2)
        for at in range(0, length, _CHUNK_BYTES):  # a whole number of words
            chunk = self._read(body, offset + at, min(_CHUNK_BYTES, length - at))
            yield swap_words(chunk, word) if encoding.big_endian else chunk
        yield b"\0" * (length % 2)

    def _native_pixels(self, first: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
        spec, count = self._recipe.spec, self._stored.frames.count
        if spec.bits_allocated == 1:
            yield from self._packed(first, frames)
            return
        total = count * spec.native_bytes
        yield self._pixel_head("OW" if spec.bits_allocated > 8 else "OB", total + total % 2)
        yield first
        yield from frames
        yield b"\0" * (total % 2)

    def _packed(self, first: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
        """Frames of single bits follow each other without a gap (PS3.5 section 8.1.1)."""
        spec, count = self._recipe.spec, self._stored.frames.count
        frame_bits = spec.rows * spec.columns * spec.samples
        total = -(-count * frame_bits // 8)
        yield self._pixel_head("OB", total + total % 2)
        held, held_bits = 0, 0
        for frame in _with(first, frames):
            held |= int.from_bytes(frame, "little") << held_bits
            held_bits += frame_bits
            whole = held_bits // 8
            yield (held & ((1 << whole * 8) - 1)).to_bytes(whole, "little")
            held >>= whole * 8
            held_bits -= whole * 8
        if held_bits:
            yield held.to_bytes(1, "little")
        yield b"\0" * (total % 2)

    def _encapsulated(self, first: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
        """One fragment a frame (PS3.5 section A.4).

        The Basic Offset Table of several frames stays empty, as the standard allows: their sizes are known
        when they have been sent.
        """
        table = bytes(4) if self._stored.frames.count == 1 else b""
        yield self._pixel_head("OB", None) + _ITEM + struct.pack("<I", len(table)) + table
        for frame in _with(first, frames):
            yield _ITEM + struct.pack("<I", len(frame) + len(frame) % 2)
            yield frame + b"\0" * (len(frame) % 2)
        yield _SEQUENCE_END

    def _pixel_head(self, vr: str, size: int | None) -> bytes:
        tag = int(self._stored.pixel_key, 16)
        said = _UNDEFINED if size is None else struct.pack("<I", size)
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        return head + said if self._implicit else head + vr.encode() + b"\0\0" + said


def _with(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _values(attributes: dict[str, Any], key: str) -> list[str]:
    return [str(value) for value in attributes.get(key, {}).get("Value", []) if value is not None]


def _uid(attributes: dict[str, Any], key: str) -> bytes:
    return _even(str(first_value(attributes, key) or "").encode("ascii"), b"\0")


def _text(text: str) -> bytes:
    return _even(text.encode("ascii", "replace"), b" ")


def _even(raw: bytes, pad: bytes) -> bytes:
    return raw + pad if len(raw) % 2 else raw
