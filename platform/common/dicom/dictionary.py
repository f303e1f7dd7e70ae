"""What an element's tag and VR mean to the reader, looked up once and kept."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from pydicom.datadict import dictionary_VR, private_dictionary_VR

from common.dicom.json_model import BINARY_WORDS, Reader, readers

# VRs with a 32-bit length in explicit data sets (PS3.5 section 7.1.2).
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_READERS = {False: readers(big_endian=False), True: readers(big_endian=True)}
KNOWN_VRS = frozenset(_READERS[False]) | frozenset(BINARY_WORDS) | {"SQ"}
# What devices wrote where they knew no VR; the length behind it has 16 bits.
_BLANK_VRS = frozenset({"  ", "??", "--"})
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


class Way(IntEnum):
    """How the reader goes on with an element."""

    VALUE = 0  # a reader turns its bytes into values
    BINARY = 1
    SEQUENCE = 2
    CHARSET = 3
    CREATOR = 4
    PRIVATE = 5  # VR only known with the private creator
    AMBIGUOUS = 6  # VR depends on other elements
    PIXELS = 7
    DELIMITER = 8
    SKIP = 9


class Form(IntEnum):
    """Where the length stands behind the tag, and in how many bits (PS3.5 section 7.1)."""

    SHORT = 0  # explicit VR, 16 bits
    LONG = 1  # explicit VR, two reserved bytes, 32 bits
    IMPLICIT = 2  # no VR, 32 bits
    ODD = 3  # a VR of no known edition: the reserved bytes tell


@dataclass(frozen=True, slots=True)
class Element:
    """One kind of element: key in the JSON, VR, length form, and what to do with it."""

    key: str
    vr: str
    form: Form
    way: Way
    reader: Reader | None
    word: int  # swap words of this size: 1 where nothing is swapped
    as_implicit: bool  # the value is in Implicit VR Little Endian whatever is around it


_SPECIAL_VR = {Way.CREATOR: "LO", Way.CHARSET: "CS"}


def _way(tag: int, vr: str) -> Way:
    group, number = tag >> 16, tag & 0xFFFF
    if group == 0xFFFE:
        return Way.DELIMITER
    # Group lengths are retired, FFFC,FFFC is padding, group 0002 belongs in front.
    if number == 0 or tag == 0xFFFCFFFC or group == 0x0002:
        return Way.SKIP
    if tag in _PIXEL_TAGS:
        return Way.PIXELS
    if tag == 0x00080005:
        return Way.CHARSET
    if group & 1:
        if 0x10 <= number <= 0xFF:
            return Way.CREATOR
        if vr == "UN":
            return Way.PRIVATE
    if vr == "SQ":
        return Way.SEQUENCE
    if " or " in vr:
        return Way.AMBIGUOUS
    return Way.BINARY if vr in BINARY_WORDS else Way.VALUE


def element(
    tag: int, vr: str, form: Form, *, big_endian: bool, as_implicit: bool = False
) -> Element:
    """The entry of this tag with this VR in a data set of this byte order."""
    if vr == "OB or OW":  # implicit and formerly unknown ones are OW (PS3.5 section A.1)
        vr = "OW"
    big_endian = big_endian and not as_implicit
    way = _way(tag, vr)
    vr = _SPECIAL_VR.get(way, vr)
    word = BINARY_WORDS.get(vr, 1) if big_endian else 1
    return Element(f"{tag:08X}", vr, form, way, _READERS[big_endian].get(vr), word, as_implicit)


def standard_vr(tag: int) -> str:
    """VR of a standard element, "UN" where the dictionary does not know the tag or it is private."""
    if (tag >> 16) & 1:
        return "UN"
    try:
        vr = str(dictionary_VR(tag))
    except KeyError:
        return "UN"
    return vr if vr in KNOWN_VRS or " or " in vr else "UN"


def private_vr(creator: str, tag: int) -> str:
    """VR that the creator's published dictionary gives, else "UN"."""
    try:
        vr = str(private_dictionary_VR(tag, creator))
    except KeyError:
        return "UN"
    return vr if vr in KNOWN_VRS else "UN"


class Encoding:
    """One of the three encodings of a data set, with everything it has met so far.

    Looking a tag up costs a dozen steps, and a series repeats the same few hundred tags in every
    instance; so entries are kept per process, bounded against hostile tags.
    """

    _MAX_KEPT = 20_000

    def __init__(self, *, implicit: bool, big_endian: bool) -> None:
        self.implicit = implicit
        self.big_endian = big_endian
        order = ">" if big_endian else "<"
        self.head_bytes = 4 if implicit else 6
        self.u16 = struct.Struct(order + "H").unpack_from
        self.u32 = struct.Struct(order + "I").unpack_from
        self._tag = struct.Struct(order + "HH").unpack_from
        self.known: dict[bytes, Element] = {}
        self._private: dict[tuple[str, str, Form], Element] = {}

    def learn(self, head: bytes) -> Element:
        """The entry of a tag (and VR) met for the first time."""
        if len(self.known) >= self._MAX_KEPT:
            self.known.clear()
        found = self.known[head] = self._classify(head)
        return found

    def tag(self, head: bytes, at: int = 0) -> int:
        """The tag at this position as one number."""
        group, number = self._tag(head, at)
        return int(group) << 16 | int(number)

    def _classify(self, head: bytes) -> Element:
        tag = self.tag(head)
        big = self.big_endian
        if self.implicit or tag >> 16 == 0xFFFE:
            return element(tag, standard_vr(tag), Form.IMPLICIT, big_endian=big)
        vr = head[4:6].decode("latin-1")
        if vr == "UN":
            known = standard_vr(tag)
            # An unknown element keeps the Implicit VR Little Endian encoding (PS3.5 section 6.2.2).
            return element(tag, known, Form.LONG, big_endian=big, as_implicit=True)
        if vr in KNOWN_VRS:
            form = Form.LONG if vr in LONG_VRS else Form.SHORT
            return element(tag, vr, form, big_endian=big)
        if vr.isascii() and vr.isalpha() and vr.isupper():
            return element(tag, "UN", Form.ODD, big_endian=big)
        if vr in _BLANK_VRS:
            return element(tag, standard_vr(tag), Form.SHORT, big_endian=big)
        # No VR at all: some devices slip implicit elements into explicit data sets.
        return element(tag, standard_vr(tag), Form.IMPLICIT, big_endian=big)

    def private(self, entry: Element, creator: str) -> Element:
        """The entry of a private element once its creator is known."""
        key = (creator, entry.key, entry.form)
        found = self._private.get(key)
        if found is None:
            if len(self._private) >= self._MAX_KEPT:
                self._private.clear()
            tag = int(entry.key, 16)
            found = self._private[key] = element(
                tag,
                private_vr(creator, tag),
                entry.form,
                big_endian=self.big_endian,
                as_implicit=entry.as_implicit,
            )
        return found


IMPLICIT = Encoding(implicit=True, big_endian=False)
EXPLICIT = Encoding(implicit=False, big_endian=False)
EXPLICIT_BIG_ENDIAN = Encoding(implicit=False, big_endian=True)
