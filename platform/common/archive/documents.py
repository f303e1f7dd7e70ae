"""The two documents beside a pack: where everything lies, and what ``/metadata`` answers.

Both are gzip over JSON, and the same content gives the same bytes (no time of writing in the gzip header).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from common.dicom.frames import Frames

from .errors import DocumentUnreadable

VERSION = 2
WHOLE_SHA256 = 1  # the version whose pack digest is the SHA-256 of the file
_GZIP = 31  # zlib's number for a gzip frame; it writes no time
_LEVEL = 6


@dataclass(frozen=True)
class InstanceEntry:
    """Where one instance, its frames and its bulk data lie; ranges of ``bulk`` count from ``offset``."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    instance_number: int | None
    offset: int
    size: int
    sha256: str
    frames: Frames
    bulk: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class SeriesIndex:
    """One revision of one series, in the order of the pack."""

    institution_code: str
    study_instance_uid: str
    series_instance_uid: str
    number: int
    pack_key: str
    pack_size: int
    pack_digest: str  # common.archive.digest; of version 1 the SHA-256 of the file
    character_set: str
    instances: tuple[InstanceEntry, ...]
    # When it was stored and what the hospital listed then, so that the database can be rebuilt from here.
    stored_at: str = ""
    listed_instances: int | None = None
    compared_by: str = ""
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The document, with one line per instance."""
        head = {
            "version": self.version,
            "institution_code": self.institution_code,
            "study_instance_uid": self.study_instance_uid,
            "series_instance_uid": self.series_instance_uid,
            "number": self.number,
            "pack_key": self.pack_key,
            "pack_size": self.pack_size,
            _digest_name(self.version): self.pack_digest,
            "character_set": self.character_set,
            "stored_at": self.stored_at,
            "listed_instances": self.listed_instances,
            "compared_by": self.compared_by,
        }
        opening = orjson.dumps(head)[:-1] + b',"instances":'
        lines = (orjson.dumps(entry_to_json(entry)) for entry in self.instances)
        return _gzipped(opening, lines, b"}")

    @classmethod
    def from_bytes(cls, data: bytes) -> SeriesIndex:
        """Read a document.

        Raises:
            DocumentUnreadable: damaged, or of an unknown version.
        """
        document = _parsed(data, "index")
        version = document.get("version") if isinstance(document, dict) else None
        if version not in (WHOLE_SHA256, VERSION):
            raise DocumentUnreadable(
                f"The index has version {version!r}; this program reads up to version {VERSION}.",
                version=version,
            )
        try:
            return cls(
                institution_code=document["institution_code"],
                study_instance_uid=document["study_instance_uid"],
                series_instance_uid=document["series_instance_uid"],
                number=document["number"],
                pack_key=document["pack_key"],
                pack_size=document["pack_size"],
                pack_digest=document[_digest_name(version)],
                character_set=document["character_set"],
                stored_at=document.get("stored_at", ""),
                listed_instances=document.get("listed_instances"),
                compared_by=document.get("compared_by", ""),
                version=version,
                instances=tuple(entry_from_json(item) for item in document["instances"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DocumentUnreadable(
                "The index lacks a field or has one of another kind."
            ) from error


def _digest_name(version: int) -> str:
    return "pack_sha256" if version == WHOLE_SHA256 else "pack_digest"


def metadata_bytes(attributes: Iterable[Mapping[str, Any] | bytes]) -> bytes:
    """The ``/metadata`` answer as gzip: a DICOM JSON array (PS3.18 Annex F), one line per instance.

    Takes the instances one by one, as attributes or as a line of JSON, so only the compressed bytes are held.
    """
    lines = (item if isinstance(item, bytes) else orjson.dumps(item) for item in attributes)
    return _gzipped(b"", lines, b"")


def split_metadata(data: bytes) -> list[dict[str, Any]]:
    """The instances' attributes, in order.

    Raises:
        DocumentUnreadable: damaged.
    """
    document = _parsed(data, "metadata")
    if not isinstance(document, list):
        raise DocumentUnreadable("The metadata is no array.")
    return document


def metadata_lines(data: bytes) -> list[bytes]:
    """Each instance's attributes as JSON, in order, cut out without parsing.

    Raises:
        DocumentUnreadable: damaged.
    """
    text = _unzipped(data, "metadata")
    if not (text.startswith(b"[") and text.endswith(b"]")):
        raise DocumentUnreadable("The metadata is no array.")
    return text[1:-1].split(b",\n") if len(text) > 2 else []


def _gzipped(opening: bytes, items: Iterable[bytes], closing: bytes) -> bytes:
    # Strings have no bare line break in JSON, so one between items marks where to cut.
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    pieces = [packer.compress(opening + b"[")]
    for position, item in enumerate(items):
        pieces.append(packer.compress(b",\n" + item if position else item))
    pieces += [packer.compress(b"]" + closing), packer.flush()]
    return b"".join(pieces)


def _unzipped(data: bytes, what: str) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(data)
    except zlib.error as error:
        raise DocumentUnreadable(f"The {what} is damaged.") from error
    if not unpacker.eof or unpacker.unused_data:
        raise DocumentUnreadable(f"The {what} is cut off or has something behind its end.")
    return text


def _parsed(data: bytes, what: str) -> Any:
    try:
        return orjson.loads(_unzipped(data, what))
    except orjson.JSONDecodeError as error:
        raise DocumentUnreadable(f"The {what} is not JSON.") from error


def entry_to_json(entry: InstanceEntry) -> dict[str, Any]:
    """As it stands in the index document."""
    return {
        "sop_instance_uid": entry.sop_instance_uid,
        "sop_class_uid": entry.sop_class_uid,
        "transfer_syntax_uid": entry.transfer_syntax_uid,
        "instance_number": entry.instance_number,
        "offset": entry.offset,
        "size": entry.size,
        "sha256": entry.sha256,
        "frames": entry.frames.to_json(),
        "bulk": dict(sorted(entry.bulk.items())),
    }


def entry_from_json(item: dict[str, Any]) -> InstanceEntry:
    """Read back."""
    return InstanceEntry(
        sop_instance_uid=item["sop_instance_uid"],
        sop_class_uid=item["sop_class_uid"],
        transfer_syntax_uid=item["transfer_syntax_uid"],
        instance_number=item["instance_number"],
        offset=item["offset"],
        size=item["size"],
        sha256=item["sha256"],
        frames=Frames.from_json(item["frames"]),
        bulk={path: (start, length) for path, (start, length) in item["bulk"].items()},
    )
