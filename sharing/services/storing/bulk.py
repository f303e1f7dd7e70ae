"""Metadata with bulk data as parts of their own (PS3.18 §10.5.2): the parts on local disk until all are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from django.conf import settings
from pydicom.uid import (
    MPEG2MPML,
    MPEG4HP41,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from common.dicom.compose import BulkValue
from common.dicom.errors import UNREADABLE, MalformedDicom
from common.dicom.uids import is_valid_uid
from common.dicomweb.media_types import parse_media_type

_CHUNK = 2**20
MAX_PARTS = 100_000
# What a media type means that names no transfer syntax (PS3.18 Table 8.7.3-2 and following).
_DEFAULT_SYNTAX: dict[str, str] = {
    "image/jpeg": JPEGBaseline8Bit,
    "image/dicom-rle": RLELossless,
    "image/jls": JPEGLSLossless,
    "image/jp2": JPEG2000Lossless,
    "image/jphc": HTJ2KLossless,
    "video/mpeg": MPEG2MPML,
    "video/mp4": MPEG4HP41,
}


@dataclass
class _Parts:
    syntax: str
    places: list[tuple[int, int]] = field(default_factory=list)


class BulkSpool:
    """Bulk data parts by their Content-Location; several parts of one location are frames, in order."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._end = 0
        self._count = 0
        self._given = 0
        self._parts: dict[str, _Parts] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, location: str, content_type: str, chunks: Iterable[bytes]) -> None:
        """Keep one part.

        Raises:
            MalformedDicom: it has no location, or there are too many.
        """
        self._count += 1
        if not location or self._count > MAX_PARTS:
            raise MalformedDicom(UNREADABLE, "A bulk data part names no Content-Location.")
        start = self._end
        self._file.seek(start)
        for chunk in chunks:
            self._file.write(chunk)
            self._end += len(chunk)
        parts = self._parts.setdefault(location, _Parts(_syntax(content_type)))
        parts.places.append((start, self._end - start))

    def find(self, uri: str) -> BulkValue:
        """The value that a BulkDataURI stands for.

        Raises:
            MalformedDicom: no part has this location.
        """
        parts = self._parts.get(uri)
        if parts is None:
            raise MalformedDicom(UNREADABLE, "A BulkDataURI names no part of this request.")
        sizes = [size for _, size in parts.places]
        return BulkValue(sizes, lambda number: self._read(*parts.places[number]), parts.syntax)

    def _read(self, start: int, size: int) -> Iterator[bytes]:
        self._given += size
        if self._given > settings.STORE_MAX_BYTES:  # one part may be named by many data sets
            raise MalformedDicom(
                UNREADABLE, "With its bulk data the request is larger than is taken at once."
            )
        while size > 0:
            self._file.seek(start)
            chunk = self._file.read(min(size, _CHUNK))
            if not chunk:
                raise MalformedDicom(UNREADABLE, "A bulk data part is not whole.")
            start, size = start + len(chunk), size - len(chunk)
            yield chunk


def _syntax(content_type: str) -> str:
    media_type = parse_media_type(content_type)
    if media_type is None:
        return ""
    named = media_type.transfer_syntax
    return named if is_valid_uid(named) else _DEFAULT_SYNTAX.get(media_type.name, "")
