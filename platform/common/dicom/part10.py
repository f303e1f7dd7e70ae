"""A DICOM file read up to its pixels (PS3.10 section 7): UIDs, DICOM JSON, frames, bulk values."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from common.dicom.data_set import DataSetReader
from common.dicom.dictionary import (
    EXPLICIT,
    EXPLICIT_BIG_ENDIAN,
    IMPLICIT,
    KNOWN_VRS,
    LONG_VRS,
    Encoding,
)
from common.dicom.errors import (
    BAD_UID,
    MISSING_UID,
    NOT_DICOM,
    TRUNCATED,
    UNREADABLE,
    MalformedDicom,
)
from common.dicom.frames import Frames, locate_frames
from common.dicom.scope import first_value
from common.dicom.source import FileSource, InflatedSource, Source
from common.dicom.uids import is_valid_uid

PREAMBLE_BYTES = 128
_META_START = PREAMBLE_BYTES + 4
_MAX_META_BYTES = 64 * 1024
_SHORT = struct.Struct("<HH2sH").unpack_from
_U32 = struct.Struct("<I").unpack_from
# GE's own syntax: Implicit VR Little Endian but for the pixels.
_GE_PRIVATE = "1.2.840.113619.5.2"


@dataclass(frozen=True, slots=True)
class Instance:
    """What the header of one instance says; offsets count from the instance's first byte.

    ``attributes`` is the data set as DICOM JSON (PS3.18 Annex F). ``bulk`` maps the path at the end
    of each BulkDataURI to where the value field lies, as it is encoded in the instance; for a
    deflated instance the offset counts in the inflated data set (``bulk.read_bulk`` reads both).
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    attributes: dict[str, Any]
    bulk: dict[str, tuple[int, int]]
    frames: Frames
    charset_doubtful: bool


def read_instance(file: BinaryIO, *, offset: int, length: int, character_set: str = "") -> Instance:
    """The header of the instance in this region of the file.

    Reads no pixel bytes (but the last ten of each fragment where multi-frame fragments come without
    an offset table). Bounded in memory, nesting and elements. ``character_set`` is used where the
    data set declares none or an unknown one.

    Raises:
        MalformedDicom: with the reason, one of ``common.dicom.errors``.
    """
    source = FileSource(file, offset=offset, length=length)
    meta = read_file_meta(source)
    body: Source = source
    start = meta.data_set_start
    if meta.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        body, start = InflatedSource(source, start=start), 0
    reader = DataSetReader(body, override=character_set)
    encoding = encoding_of(reader.peek(start, 6), meta.transfer_syntax_uid)
    attributes = reader.read(start, encoding)
    uids = _required_uids(attributes)
    return Instance(
        *uids,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        attributes=attributes,
        bulk=_link_bulk(reader, uids[1]),
        frames=_frames(reader, attributes, encoding, source, meta),
        charset_doubtful=reader.charset_doubtful,
    )


@dataclass(frozen=True, slots=True)
class FileMeta:
    """File Meta Information (PS3.10 section 7.1), as far as reading needs it."""

    transfer_syntax_uid: str
    data_set_start: int


def read_file_meta(source: Source) -> FileMeta:
    """Transfer syntax, and where the data set starts. The group length is not relied on.

    Raises:
        MalformedDicom: no DICM prefix, no transfer syntax, or damaged.
    """
    head = source.read(0, _MAX_META_BYTES if source.end < 8192 else 8192)
    if head[PREAMBLE_BYTES:_META_START] != b"DICM":
        raise MalformedDicom(NOT_DICOM, "No DICM prefix at byte 128.")
    found = _walk_meta(head)
    if found is None and len(head) < source.end:
        head = source.read(0, _MAX_META_BYTES)
        found = _walk_meta(head)
    if found is None:
        reason = TRUNCATED if len(head) >= source.end else UNREADABLE
        raise MalformedDicom(reason, "The file meta information does not end.")
    raw_syntax, start = found
    syntax = raw_syntax.decode("latin-1").strip(" \0")
    if not syntax:
        raise MalformedDicom(UNREADABLE, "No Transfer Syntax UID (0002,0010) in the file meta.")
    if not is_valid_uid(syntax):
        raise MalformedDicom(BAD_UID, "The Transfer Syntax UID (0002,0010) is not a UID.")
    return FileMeta(syntax, start)


def _walk_meta(head: bytes) -> tuple[bytes, int] | None:
    """(transfer syntax value, start of the data set); None where more bytes are needed."""
    pos, syntax = _META_START, b""
    while True:
        if len(head) - pos < 8:
            return (syntax, pos) if syntax and len(head) == pos else None
        group, number, vr, size = _SHORT(head, pos)
        if group != 0x0002:
            return syntax, pos
        name = vr.decode("latin-1")
        start = pos + 8
        if name in LONG_VRS:
            if len(head) - pos < 12:
                return None
            size, start = _U32(head, pos + 8)[0], pos + 12
        elif name not in KNOWN_VRS:  # implicit VR, against the standard, from some devices
            size = _U32(head, pos + 4)[0]
        pos = start + size
        if pos > len(head):
            return None
        if number == 0x0010:
            syntax = head[start:pos]


def encoding_of(head: bytes, transfer_syntax_uid: str) -> Encoding:
    """The encoding that the first element shows; what is declared decides only where it may.

    ``head`` is the first six bytes of the data set. Data sets that are implicit though declared explicit,
    and the reverse, are met in practice.
    """
    declared = EXPLICIT
    if transfer_syntax_uid in (ImplicitVRLittleEndian, _GE_PRIVATE):
        declared = IMPLICIT
    elif transfer_syntax_uid == ExplicitVRBigEndian:
        declared = EXPLICIT_BIG_ENDIAN
    if len(head) < 6:
        return declared
    has_vr = head[4:6].decode("latin-1") in KNOWN_VRS
    if declared.implicit:
        return EXPLICIT if has_vr else IMPLICIT
    return declared if has_vr or head[4:6].isalpha() else IMPLICIT


_REQUIRED = (
    ("00080016", "SOP Class UID"),
    ("00080018", "SOP Instance UID"),
    ("0020000D", "Study Instance UID"),
    ("0020000E", "Series Instance UID"),
)


def _required_uids(attributes: dict[str, Any]) -> tuple[str, str, str, str]:
    found = []
    for key, name in _REQUIRED:
        value = first_value(attributes, key)
        label = f"{name} ({key[:4]},{key[4:]})"
        if not isinstance(value, str) or not value:
            raise MalformedDicom(MISSING_UID, f"The {label} is missing or empty.")
        if not is_valid_uid(value):
            raise MalformedDicom(BAD_UID, f"The {label} is not a UID.")
        found.append(value)
    return found[0], found[1], found[2], found[3]


def _link_bulk(reader: DataSetReader, sop_instance_uid: str) -> dict[str, tuple[int, int]]:
    """Give each referred value its address (relative to the series resource)."""
    found = {}
    for bulk in reader.bulk:
        bulk.entry["BulkDataURI"] = f"instances/{sop_instance_uid}/bulkdata/{bulk.path}"
        found[bulk.path] = (bulk.offset, bulk.length)
    return found


def _frames(
    reader: DataSetReader,
    attributes: dict[str, Any],
    encoding: Encoding,
    source: FileSource,
    meta: FileMeta,
) -> Frames:
    return locate_frames(
        attributes,
        reader.pixels,
        extended_offsets=reader.extended_offsets,
        big_endian=encoding.big_endian,
        read=source.read,
        deflated=(meta.data_set_start, source.end)
        if meta.transfer_syntax_uid == DeflatedExplicitVRLittleEndian
        else None,
    )
