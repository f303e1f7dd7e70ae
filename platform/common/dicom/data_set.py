"""One pass over a data set: attributes as DICOM JSON, and where the bulk values lie."""

from __future__ import annotations

from common.dicom.charset import TextCodec, text_codec
from common.dicom.dictionary import IMPLICIT, Element, Encoding, Form, Way
from common.dicom.errors import TRUNCATED, UNREADABLE, LimitPassed, MalformedDicom
from common.dicom.json_model import ValueUnfit, swap_words
from common.dicom.scope import (
    PIXEL_VRS,
    Attributes,
    Bulk,
    Pixels,
    Scope,
    inline,
    plain_vr,
    resolve,
    sort_by_tag,
)
from common.dicom.source import CHUNK_BYTES, MAX_HEADER_BYTES, SMALL_CHUNK_BYTES, Source

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
MAX_DEPTH = 32
MAX_ELEMENTS = 1_000_000
MAX_VALUES = 8_000_000  # of elements with many: bounds memory, a number takes 32 bytes in Python
_MANY_BYTES = 4096
MAX_FRAGMENTS = 1_000_000
# Below the smallest table of a palette (256 entries of 16 bits), which viewers ask for by reference.
MAX_INLINE_BINARY_BYTES = 256
MAX_VALUE_BYTES = 64 * 1024
_MAX_PADDING_BYTES = 4096


def _unreadable(text: str) -> MalformedDicom:
    return MalformedDicom(UNREADABLE, text)


class DataSetReader:
    """Reads a data set forwards, a bounded piece at a time; long values are passed over unread.

    A sequence of defined length that cannot be read is kept whole as an unknown value, because its
    end is certain; anything else that is damaged ends the reading.

    Raises:
        MalformedDicom: from ``read``; with reason truncated or unreadable.
    """

    def __init__(self, source: Source, *, override: str = "") -> None:
        self._source = source
        self._end = source.end
        self._override = override
        self._buf = b""
        self._base = 0
        self._spent = 0
        self._elements = 0
        self._values = 0
        self._ambiguous: list[tuple[Scope, Attributes, bytes, bool]] = []
        self._codecs: list[TextCodec] = []
        self.bulk: list[Bulk] = []
        self.pixels: Pixels | None = None
        self.extended_offsets = b""  # value of the Extended Offset Table (7FE0,0001)

    @property
    def charset_doubtful(self) -> bool:
        """Whether some text did not fit its character set."""
        return any(codec.doubtful for codec in self._codecs)

    def read(self, start: int, encoding: Encoding) -> Attributes:
        """The attributes of the data set that starts here and fills the rest of the source."""
        scope = Scope({}, self._codec(""), "")
        self._read_elements(start, self._end, scope, encoding, depth=0, delimited=False)
        for owner, entry, raw, big_endian in self._ambiguous:
            resolve(owner, entry, raw, big_endian=big_endian)
        return scope.attributes

    def peek(self, start: int, size: int) -> bytes:
        """The first bytes of the data set, to see how it is encoded."""
        at = self._load(start, size, CHUNK_BYTES)
        return self._buf[at : at + size]

    def _codec(self, declared: str | list[str]) -> TextCodec:
        codec = text_codec(declared, self._override)
        self._codecs.append(codec)
        return codec

    # -- bytes ---------------------------------------------------------------------------------

    def _load(self, position: int, size: int, chunk: int) -> int:
        """Have bytes from this position in the buffer, fewer only at the end; their index in it."""
        at = position - self._base
        have = len(self._buf) - at
        if at >= 0 and have >= size:
            return at
        if at >= 0 and have > 0:
            rest = self._source.read(position + have, max(size, chunk) - have)
            self._buf = self._buf[at:] + rest
            self._spent += len(rest)
        else:
            self._buf = self._source.read(position, max(size, chunk))
            self._spent += len(self._buf)
        self._base = position
        if self._spent > MAX_HEADER_BYTES:
            raise LimitPassed("The header is larger than is accepted.")
        return 0

    def _raw(self, start: int, size: int) -> bytes:
        at = self._load(start, size, CHUNK_BYTES)
        raw = self._buf[at : at + size]
        if len(raw) < size:
            raise MalformedDicom(TRUNCATED, f"Ends inside a value at byte {start}.")
        return raw

    def _count(self, number: int) -> None:
        self._elements += number
        if self._elements > MAX_ELEMENTS:
            raise LimitPassed("The header has more elements than are accepted.")

    def _count_values(self, number: int) -> None:
        self._values += number
        if self._values > MAX_VALUES:
            raise LimitPassed("The header has more values than are accepted.")

    # -- elements ------------------------------------------------------------------------------

    def _read_elements(
        self,
        pos: int,
        end: int,
        scope: Scope,
        encoding: Encoding,
        *,
        depth: int,
        delimited: bool,
    ) -> int:
        """Read elements up to ``end`` or the item delimiter; the position behind them."""
        attributes, codec = scope.attributes, scope.codec
        known, head_bytes = encoding.known, encoding.head_bytes
        u16, u32 = encoding.u16, encoding.u32
        buf, base = self._buf, self._base
        last, ordered = "", True
        while pos < end:
            at = pos - base
            if at + 12 > len(buf) or at < 0:
                if len(attributes) > MAX_ELEMENTS:
                    raise LimitPassed("The header has more elements than are accepted.")
                at = self._load(pos, 12, CHUNK_BYTES)
                buf, base = self._buf, self._base
                if len(buf) - at < 12 and self._is_tail(pos, end, encoding, delimited=delimited):
                    break
            head = buf[at : at + head_bytes]
            entry = known.get(head)
            if entry is None:
                entry = encoding.learn(head)
            form = entry.form
            if form == 0:
                size = u16(buf, at + 6)[0]
                start = pos + 8
            elif form == 2:
                size = u32(buf, at + 4)[0]
                start = pos + 8
            else:
                size, start = self._long_form(form, buf, at, pos, encoding)
            key, way = entry.key, entry.way
            stop = start + size
            if way == 0 and size <= MAX_VALUE_BYTES:
                if stop > end:
                    raise self._past_end(entry, pos, stop)
                if key <= last:
                    ordered = False
                last = key
                if not size:
                    attributes[key] = {"vr": entry.vr}
                    pos = stop
                    continue
                at = start - base
                raw = buf[at : at + size]
                if len(raw) < size:
                    raw = self._raw(start, size)
                    buf, base = self._buf, self._base
                try:
                    values = entry.reader(raw, codec)  # type: ignore[misc]  # every VALUE has one
                except ValueUnfit:
                    attributes[key] = inline("UN", raw)
                else:
                    attributes[key] = (
                        {"vr": entry.vr, "Value": values} if values else {"vr": entry.vr}
                    )
                    if size > _MANY_BYTES and values:
                        self._count_values(len(values))
                pos = stop
                continue
            if way == Way.DELIMITER:
                if key == "FFFEE00D" and delimited:
                    pos = start
                    break
                if key == "FFFEE0DD" and delimited:
                    break  # the item's own end is missing: the sequence ends here
                if key == "FFFEE000" or size:
                    raise _unreadable(f"An item where an element is due, at byte {pos}.")
                pos = start  # a delimiter nobody waits for
                continue
            if way == Way.SKIP:
                if key == "00000000" and not depth and self._is_padding(pos, end):
                    pos = end
                    break
                if stop > end:
                    raise self._past_end(entry, pos, stop)
                pos = stop
                continue
            if key <= last:
                ordered = False
            last = key
            pos = self._special(entry, start, size, end, scope, encoding, depth)
            codec = scope.codec
            buf, base = self._buf, self._base
        else:
            if delimited and pos >= end:
                raise self._no_end(pos)
        self._count(len(attributes))
        if not ordered:
            sort_by_tag(attributes)
        return pos

    def _long_form(
        self, form: Form, buf: bytes, at: int, pos: int, encoding: Encoding
    ) -> tuple[int, int]:
        if form is Form.ODD and (short := encoding.u16(buf, at + 6)[0]):
            return short, pos + 8
        if len(buf) - at < 12:
            raise MalformedDicom(TRUNCATED, f"Ends inside an element's length at byte {pos}.")
        return encoding.u32(buf, at + 8)[0], pos + 12

    def _is_tail(self, pos: int, end: int, encoding: Encoding, *, delimited: bool) -> bool:
        """Whether the data set ends here, less than one long element header before the end."""
        rest = self._buf[pos - self._base :]
        if len(rest) >= 8:
            return False
        at_top = not delimited and end == self._end
        if at_top and not rest.strip(b"\0") and self._source.at_end(pos + len(rest)):
            return True
        raise MalformedDicom(TRUNCATED, f"Ends inside an element's tag at byte {pos}.")

    def _is_padding(self, pos: int, end: int) -> bool:
        """Whether nothing but a few zero bytes follows: files get padded to a block."""
        at = self._load(pos, _MAX_PADDING_BYTES + 1, CHUNK_BYTES)
        rest = self._buf[at:]
        if len(rest) > _MAX_PADDING_BYTES or rest.strip(b"\0"):
            raise _unreadable(f"Zero bytes where an element is due, at byte {pos}.")
        return True

    def _past_end(self, entry: Element, pos: int, stop: int) -> MalformedDicom:
        if stop > self._end:
            text = f"Element {entry.key} at byte {pos} goes on beyond the end of the instance."
            return MalformedDicom(TRUNCATED, text)
        return _unreadable(f"Element {entry.key} at byte {pos} goes on beyond its item.")

    def _no_end(self, pos: int) -> MalformedDicom:
        if pos >= self._end:
            return MalformedDicom(TRUNCATED, "Ends inside an item.")
        return _unreadable(f"An item has no end before byte {pos}.")

    # -- everything that is not a plain value ---------------------------------------------------

    def _special(
        self,
        entry: Element,
        start: int,
        size: int,
        end: int,
        scope: Scope,
        encoding: Encoding,
        depth: int,
    ) -> int:
        """Read one element that needs more than its reader; the position behind it."""
        if entry.way is Way.PRIVATE and scope.creators:
            creator = scope.creators.get(entry.key[:6])
            if creator is not None:
                entry = encoding.private(entry, creator)
        if size == UNDEFINED:
            return self._undefined(entry, start, end, scope, encoding, depth)
        stop = start + size
        if stop > end:
            raise self._past_end(entry, start, stop)
        if not size:
            scope.attributes[entry.key] = {"vr": "SQ" if entry.way is Way.SEQUENCE else entry.vr}
            if entry.way is Way.AMBIGUOUS:
                self._ambiguous.append((scope, scope.attributes[entry.key], b"", False))
        elif entry.way is Way.SEQUENCE:
            self._defined_sequence(entry, start, stop, scope, encoding, depth)
        elif entry.way is Way.PIXELS:
            self._native_pixels(entry, start, size, scope, encoding, depth)
        elif entry.key == "7FE00001" and not depth and size <= 8 * MAX_FRAGMENTS:
            self.extended_offsets = self._raw(start, size)
            self._refer(entry.key, "OV", start, size, scope)
        elif size > (MAX_VALUE_BYTES if entry.reader else MAX_INLINE_BINARY_BYTES):
            self._refer(entry.key, plain_vr(entry.vr), start, size, scope)
        else:
            self._short_special(entry, self._raw(start, size), scope, encoding)
        return stop

    def _short_special(self, entry: Element, raw: bytes, scope: Scope, encoding: Encoding) -> None:
        key, attributes = entry.key, scope.attributes
        if entry.way is Way.AMBIGUOUS:
            big_endian = encoding.big_endian and not entry.as_implicit
            found = attributes[key] = {"vr": entry.vr}
            self._ambiguous.append((scope, found, raw, big_endian))
            return
        if entry.reader is None:
            attributes[key] = inline(plain_vr(entry.vr), swap_words(raw, entry.word))
            return
        try:
            values = entry.reader(raw, scope.codec)
        except ValueUnfit:
            attributes[key] = inline("UN", raw)
            return
        attributes[key] = {"vr": entry.vr, "Value": values} if values else {"vr": entry.vr}
        if entry.way is Way.CHARSET:
            scope.codec = self._codec([value or "" for value in values or []])
        elif entry.way is Way.CREATOR and values and isinstance(values[0], str):
            if scope.creators is None:
                scope.creators = {}
            scope.creators[key[:4] + key[6:]] = values[0]

    def _refer(self, key: str, vr: str, start: int, size: int, scope: Scope) -> None:
        entry: Attributes = {"vr": vr}
        scope.attributes[key] = entry
        self.bulk.append(Bulk(entry, scope.prefix + key, start, size))

    def _native_pixels(
        self, entry: Element, start: int, size: int, scope: Scope, encoding: Encoding, depth: int
    ) -> None:
        vr = PIXEL_VRS.get(entry.key) or (entry.vr if entry.vr != "UN" else "OW")
        self._refer(entry.key, vr, start, size, scope)
        if not depth:
            self.pixels = Pixels(entry.key, vr, start, size)

    # -- sequences -------------------------------------------------------------------------------

    def _undefined(
        self, entry: Element, start: int, end: int, scope: Scope, encoding: Encoding, depth: int
    ) -> int:
        if entry.way is Way.PIXELS or (entry.way is Way.BINARY and entry.vr != "UN"):
            return self._encapsulated(entry, start, end, scope, encoding, depth)
        if entry.way is Way.VALUE and entry.form is not Form.IMPLICIT:
            raise _unreadable(f"Element {entry.key} has no length though its VR needs one.")
        inner = IMPLICIT if entry.as_implicit else encoding
        items, stop = self._sequence(entry.key, start, end, scope, inner, depth, delimited=True)
        scope.attributes[entry.key] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        return stop

    def _defined_sequence(
        self, entry: Element, start: int, stop: int, scope: Scope, encoding: Encoding, depth: int
    ) -> None:
        marks = len(self.bulk), len(self._ambiguous)
        inner = IMPLICIT if entry.as_implicit else encoding
        try:
            items, _ = self._sequence(entry.key, start, stop, scope, inner, depth, delimited=False)
        except LimitPassed:
            raise
        except MalformedDicom:
            del self.bulk[marks[0] :], self._ambiguous[marks[1] :]
            self._refer(entry.key, "UN", start, stop - start, scope)
        else:
            scope.attributes[entry.key] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}

    def _sequence(
        self,
        key: str,
        pos: int,
        end: int,
        scope: Scope,
        encoding: Encoding,
        depth: int,
        *,
        delimited: bool,
    ) -> tuple[list[Attributes], int]:
        """The items of a sequence and the position behind it."""
        if depth >= MAX_DEPTH:
            raise LimitPassed(f"Sequences are nested deeper than {MAX_DEPTH} levels.")
        items: list[Attributes] = []
        while pos < end:
            at = self._load(pos, 8, CHUNK_BYTES)
            if len(self._buf) - at < 8:
                raise MalformedDicom(TRUNCATED, f"Ends inside sequence {key}.")
            tag = encoding.tag(self._buf, at)
            size = encoding.u32(self._buf, at + 4)[0]
            pos += 8
            if tag == SEQUENCE_END:
                if delimited:
                    return items, pos
                continue
            if tag == ITEM_END:
                continue
            if tag != ITEM:
                raise _unreadable(f"No item at byte {pos - 8}, where sequence {key} needs one.")
            prefix = f"{scope.prefix}{key}.{len(items)}."
            item = Scope({}, scope.codec, prefix, scope)
            open_ended = size == UNDEFINED
            stop = end if open_ended else pos + size
            if stop > end:
                raise self._past_item(key, pos, stop)
            self._count(1)
            pos = self._read_elements(
                pos, stop, item, encoding, depth=depth + 1, delimited=open_ended
            )
            items.append(item.attributes)
        if delimited:
            raise self._no_end(pos)
        return items, pos

    def _past_item(self, key: str, pos: int, stop: int) -> MalformedDicom:
        if stop > self._end:
            return MalformedDicom(TRUNCATED, f"An item of {key} ends beyond the instance.")
        return _unreadable(f"An item of {key} at byte {pos} is longer than its sequence.")

    # -- encapsulated values ---------------------------------------------------------------------

    def _encapsulated(
        self, entry: Element, start: int, end: int, scope: Scope, encoding: Encoding, depth: int
    ) -> int:
        """Walk over fragments by their headers (PS3.5 section A.4)."""
        pos, table = start, b""
        fragments: list[tuple[int, int]] = []
        first = True
        while True:
            at = self._load(pos, 8, SMALL_CHUNK_BYTES)
            if len(self._buf) - at < 8:
                raise MalformedDicom(TRUNCATED, f"Ends inside the fragments of {entry.key}.")
            tag = encoding.tag(self._buf, at)
            size = encoding.u32(self._buf, at + 4)[0]
            pos += 8
            if tag == SEQUENCE_END:
                break
            if tag != ITEM or size == UNDEFINED:
                raise _unreadable(f"No fragment of {entry.key} at byte {pos - 8}.")
            if pos + size > end:
                raise self._past_item(entry.key, pos, pos + size)
            if first:
                table = self._raw(pos, size) if size <= 4 * MAX_FRAGMENTS else b""
                first = False
            else:
                fragments.append((pos, size))
                if len(fragments) > MAX_FRAGMENTS:
                    raise LimitPassed(f"{entry.key} has more fragments than are accepted.")
            pos += size
        vr = entry.vr if entry.form is not Form.IMPLICIT and entry.vr != "UN" else "OB"
        self._refer(entry.key, vr, start, pos - start, scope)
        if entry.way is Way.PIXELS and not depth:
            self.pixels = Pixels(entry.key, vr, start, pos - start, tuple(fragments), table)
        return pos
