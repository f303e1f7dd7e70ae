"""A Native DICOM Model document read into the DICOM JSON Model (PS3.19 A.1, 2024e)."""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from common.dicom.dictionary import KNOWN_VRS, standard_vr
from common.dicom.errors import UNREADABLE, LimitPassed, MalformedDicom
from common.dicom.json_model import BINARY_WORDS, readers
from common.dicom.scope import Attributes, plain_vr, sort_by_tag
from common.dicom.xml_writer import GROUPS, NAME_PARTS, is_creator

MAX_DEPTH = 32
MAX_NODES = 2_000_000
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGERS = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
_FLOATS = frozenset({"FL", "FD"})
_NUMBER_STRINGS = frozenset({"DS", "IS"})
_TEXTS = frozenset({"Value", "InlineBinary", *NAME_PARTS})
_INSIDE = {
    "NativeDicomModel": frozenset({"DicomAttribute"}),
    "Item": frozenset({"DicomAttribute"}),
    "DicomAttribute": frozenset({"BulkData", "Value", "Item", "PersonName", "InlineBinary"}),
    # SingleByte is what editions before 2011 called Alphabetic.
    "PersonName": frozenset({*GROUPS, "SingleByte"}),
    **{group: frozenset(NAME_PARTS) for group in (*GROUPS, "SingleByte")},
}
_READERS = readers(big_endian=False)


def read_native_xml(data: bytes) -> dict[str, Any]:
    """The data set of one document, as DICOM JSON with its attributes in the order of their tags.

    With or without the namespace. A document type is refused, so there are no entities to expand; depth
    and number of nodes are bounded.

    Raises:
        MalformedDicom: it is not such a document; the text names tags, never values.
    """
    handler = _Document()
    # With a separator, names come as "namespace name"; the last word is the name.
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.characters
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _unreadable(f"The XML is not well formed at line {error.lineno}.") from error
    except (ValueError, LookupError) as error:  # an encoding that expat cannot read
        raise _unreadable("The encoding of the XML cannot be read.") from error
    return handler.attributes


def _unreadable(text: str) -> MalformedDicom:
    return MalformedDicom(UNREADABLE, text)


def _refuse_doctype(*_: Any) -> None:
    raise _unreadable("The XML has a document type declaration, which is not accepted.")


@dataclass(slots=True)
class _Attribute:
    """One DicomAttribute while it is read."""

    tag: str
    vr: str
    creator: str
    values: dict[int, Any] = field(default_factory=dict)
    inline: str | None = None
    uri: str | None = None


@dataclass(slots=True)
class _DataSet:
    """The document's or an item's attributes while they are read."""

    number: int = 0
    attributes: Attributes = field(default_factory=dict)
    # (tag as written, creator, entry) whose block is only known when all creators are
    private: list[tuple[str, str, Attributes]] = field(default_factory=list)

    def add(self, tag: str, creator: str, entry: Attributes) -> None:
        if creator:
            self.private.append((tag, creator, entry))
        else:
            self.attributes[tag] = entry

    def finish(self) -> Attributes:
        blocks: dict[tuple[str, str], str] = {}
        taken: set[str] = set()
        for key, entry in self.attributes.items():
            if is_creator(key):
                taken.add(key[:4] + key[6:])
                values = entry.get("Value")
                if values and isinstance(values[0], str):
                    blocks.setdefault((key[:4], values[0]), key[6:])
        for tag, creator, entry in self.private:
            block = tag[4:6]
            if block == "00" or self._owner(tag[:4], block) != creator:
                block = blocks.get((tag[:4], creator)) or self._reserve(tag[:4], creator, taken)
                blocks[tag[:4], creator] = block
            self.attributes[f"{tag[:4]}{block}{tag[6:]}"] = entry
        sort_by_tag(self.attributes)
        return self.attributes

    def _owner(self, group: str, block: str) -> Any:
        return (self.attributes.get(f"{group}00{block}", {}).get("Value") or [""])[0]

    def _reserve(self, group: str, creator: str, taken: set[str]) -> str:
        for number in range(0x10, 0x100):
            block = f"{number:02X}"
            if group + block not in taken:
                taken.add(group + block)
                self.attributes[f"{group}00{block}"] = {"vr": "LO", "Value": [creator]}
                return block
        raise _unreadable(f"Group {group} has more private creators than there are blocks.")


class _Document:
    """What the parser calls; holds the open elements and nothing that is finished twice."""

    def __init__(self) -> None:
        self.attributes: Attributes = {}
        self._open: list[str] = []
        self._sets: list[_DataSet] = []
        self._fields: list[_Attribute] = []
        self._text: list[str] | None = None
        self._number = 0
        self._name: dict[str, str] = {}
        self._parts: dict[str, str] = {}
        self._nodes = 0

    def start(self, name: str, given: dict[str, str]) -> None:
        name = name.rpartition(" ")[2]
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise LimitPassed("The XML has more elements than are accepted.")
        parent = self._open[-1] if self._open else ""
        if not (name == "NativeDicomModel" if not parent else name in _INSIDE.get(parent, ())):
            raise _unreadable("The XML is not a Native DICOM Model: an element is out of place.")
        self._open.append(name)
        if name in ("NativeDicomModel", "Item"):
            if len(self._sets) > MAX_DEPTH:
                raise LimitPassed(f"Sequences are nested deeper than {MAX_DEPTH} levels.")
            self._sets.append(_DataSet(self._numbered(given) if parent else 0))
        elif name == "DicomAttribute":
            self._fields.append(_field(given))
        elif name == "BulkData":
            self._bulk(given)
        elif name in ("Value", "PersonName"):
            self._number = self._numbered(given)
            self._name = {}
        elif name in _INSIDE:  # a component group
            self._parts = {}
        if name in _TEXTS:
            self._text = []

    def characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
        elif text.strip():
            raise _unreadable("The XML has text where a Native DICOM Model has none.")

    def end(self, name: str) -> None:
        name = self._open.pop()
        text = "".join(self._text or ())
        if name == "Value":
            field = self._fields[-1]
            field.values[self._number] = _value(field, text)
        elif name == "InlineBinary":
            self._fields[-1].inline = _binary(self._fields[-1], text)
        elif name in NAME_PARTS:
            self._parts[name] = text
        elif name in _INSIDE["PersonName"]:
            joined = "^".join(self._parts.get(part, "") for part in NAME_PARTS).rstrip("^")
            if joined:
                self._name["Alphabetic" if name == "SingleByte" else name] = joined
        elif name == "PersonName":
            self._fields[-1].values[self._number] = self._name or None
        elif name in ("Item", "NativeDicomModel"):
            self._close_set()
        elif name == "DicomAttribute":
            field = self._fields.pop()
            self._sets[-1].add(field.tag, field.creator, _entry(field))
        if name in _TEXTS:
            self._text = None

    def _close_set(self) -> None:
        found = self._sets.pop()
        attributes = found.finish()
        if self._sets:
            self._fields[-1].values[found.number] = attributes
        else:
            self.attributes = attributes

    def _bulk(self, given: dict[str, str]) -> None:
        uri = given.get("uri") or given.get("URI") or ""
        if not uri:
            raise _unreadable(f"The bulk data of {self._fields[-1].tag} have no uri.")
        self._fields[-1].uri = uri

    def _numbered(self, given: dict[str, str]) -> int:
        field = self._fields[-1]
        text = given.get("number", "") or str(len(field.values) + 1)
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
        # A gap is filled with empty values: only as many as the document itself could hold.
        if not 1 <= number <= MAX_NODES or number in field.values:
            raise _unreadable(f"The values of {field.tag} are not numbered from 1.")
        return number


def _field(given: dict[str, str]) -> _Attribute:
    tag = given.get("tag", "").upper()
    if not _TAG.fullmatch(tag):
        raise _unreadable("A DicomAttribute has no tag of eight hexadecimal digits.")
    vr = given.get("vr", "") or plain_vr(standard_vr(int(tag, 16)))
    if vr not in KNOWN_VRS:
        raise _unreadable(f"The vr of {tag} is none of PS3.5 section 6.2.")
    creator = given.get("privateCreator", "") if int(tag[3], 16) % 2 else ""
    return _Attribute(tag, vr, "" if is_creator(tag) and vr == "LO" and not creator else creator)


def _value(field: _Attribute, text: str) -> Any:
    vr = field.vr
    if not text:
        return None
    if vr in _INTEGERS or vr in _FLOATS:
        return _number(field, text.strip())
    if vr == "AT":
        if not _TAG.fullmatch(text.strip()):
            raise _unreadable(f"A value of {field.tag} is no tag.")
        return text.strip().upper()
    if vr in _NUMBER_STRINGS:
        found = _READERS[vr](text.encode("latin-1", "replace"), None)  # type: ignore[arg-type]
        return found[0] if found else None
    if vr in BINARY_WORDS or vr in ("PN", "SQ"):
        raise _unreadable(f"{field.tag} has a Value, which its vr does not allow.")
    return text


def _number(field: _Attribute, text: str) -> int | float | str:
    try:
        if field.vr in _INTEGERS:
            return int(text)
        number = float(text)
    except ValueError as error:
        raise _unreadable(f"A value of {field.tag} is no number.") from error
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _binary(field: _Attribute, text: str) -> str:
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(f"The InlineBinary of {field.tag} is not base64.") from error
    return base64.b64encode(raw).decode("ascii")


def _entry(field: _Attribute) -> Attributes:
    if field.values and (field.inline is not None or field.uri is not None):
        raise _unreadable(f"{field.tag} has values of more than one kind.")
    if field.uri is not None:
        return {"vr": field.vr, "BulkDataURI": field.uri}
    if field.inline:
        return {"vr": field.vr, "InlineBinary": field.inline}
    if not field.values:
        return {"vr": field.vr}
    last = max(field.values)
    if last > 2 * len(field.values) + 1_000:
        raise _unreadable(f"The values of {field.tag} are not numbered from 1.")
    values = [field.values.get(number) for number in range(1, last + 1)]
    if field.vr == "SQ":
        values = [item or {} for item in values]
    elif values == [None]:
        return {"vr": field.vr}
    return {"vr": field.vr, "Value": values}
