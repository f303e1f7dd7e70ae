"""Frames and bulk data (PS3.18 §10.4.1.1.4 and §10.4.1.1.5, 2024e), by ranged reads of the pack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from pydicom.uid import ExplicitVRLittleEndian

from common.dicom.frames import Frames, frame_ranges, read_frame
from common.dicomweb.media_types import OCTET_STREAM, Representation, choose
from common.dicomweb.multipart import Part
from common.dicomweb.server import BadRequest, NotAcceptable, ServedPayload
from common.errors import NotFound
from sharing.dicomweb import trail
from sharing.dicomweb.bulk import read_value
from sharing.dicomweb.documents import Held, OpenPacks, held_series
from sharing.dicomweb.wado import Owned, RetrieveView

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry

MAX_FRAMES = 2_000  # in one request; the list is in the address
CHUNK_BYTES = 2**20  # as the stores stream
_JPEG = "image/jpeg"
# PS3.18 Table 8.7.3-2 (Transfer Syntax UIDs and media types of compressed frames).
MEDIA_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": _JPEG,
    "1.2.840.10008.1.2.4.51": _JPEG,
    "1.2.840.10008.1.2.4.53": _JPEG,
    "1.2.840.10008.1.2.4.55": _JPEG,
    "1.2.840.10008.1.2.4.57": _JPEG,
    "1.2.840.10008.1.2.4.70": _JPEG,
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.4.100": "video/mpeg",
    "1.2.840.10008.1.2.4.101": "video/mpeg",
    "1.2.840.10008.1.2.4.102": "video/mp4",
    "1.2.840.10008.1.2.4.103": "video/mp4",
}


class RetrieveFramesView(RetrieveView):
    """``…/frames/1,2``: one part for each frame, in the order asked for."""

    def get(
        self, request: HttpRequest, *, instance_uid: str, frames: str, **_: str
    ) -> HttpResponseBase:
        numbers = parse_frame_list(frames)
        place = self.series()
        held = held_series(place)
        entry = held.instance(instance_uid)
        require_frames(entry.frames, numbers)
        chosen = self._chosen(entry, single=len(numbers) == 1)
        packs = OpenPacks()
        packs.pack(held.index.pack_key)
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        media_type = f"{chosen.media_type}; transfer-syntax={chosen.transfer_syntax_uid}"
        if not chosen.multipart:
            return _single(packs, held, entry, numbers[0], media_type)
        base = f"{self.url_of(place)}/instances/{instance_uid}/frames/"
        parts = [
            Part(
                media_type,
                frame_chunks(packs, held, entry, number),
                frame_size(entry.frames, number),
                f"{base}{number}",
            )
            for number in numbers
        ]
        return ServedPayload(
            parts,
            media_type=chosen.media_type,
            parameters=f"; transfer-syntax={chosen.transfer_syntax_uid}",
            resources=packs,
        ).response()

    def _chosen(self, entry: InstanceEntry, *, single: bool) -> Representation:
        """The stored form under its own media type; as octets where the caller wants octets."""
        syntax = transfer_syntax_of_frames(entry)
        own = MEDIA_TYPES.get(syntax, OCTET_STREAM)
        offers = [Representation(own, syntax)]
        if single:
            offers.append(Representation(own, syntax, multipart=False))
        chosen = choose(self.accepted, offers)
        if chosen is None and own != OCTET_STREAM:
            # Viewers ask for octets in any syntax and read the syntax from the part's header.
            # Octets in no named syntax are Explicit VR Little Endian (§8.7.3.5.2).
            octets = [
                Representation(OCTET_STREAM, each.transfer_syntax_uid, multipart=each.multipart)
                for each in offers
            ]
            chosen = choose(
                self.accepted, octets, default_transfer_syntax_uid=ExplicitVRLittleEndian
            )
        if chosen is None:
            raise NotAcceptable(
                f"The frames are given as stored: {own} in the transfer syntax {syntax}, "
                "in multipart/related, or with transfer-syntax=*."
            )
        return chosen


class RetrieveBulkDataView(RetrieveView):
    """``…/bulkdata/{path}``: the value that a BulkDataURI of the metadata names."""

    def get(
        self, request: HttpRequest, *, instance_uid: str, path: str, **_: str
    ) -> HttpResponseBase:
        place = self.series()
        held = held_series(place)
        entry = held.instance(instance_uid)
        if path not in entry.bulk:
            raise NotFound("There is no such bulk data.")
        chosen = self.negotiate(
            [Representation(OCTET_STREAM, multipart=False), Representation(OCTET_STREAM)],
            refusal=f"Bulk data are given as {OCTET_STREAM}.",
        )
        packs = OpenPacks()
        chunks, size = read_value(packs.pack(held.index.pack_key), held, entry, path)
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        if chosen.multipart:
            parts = [Part(OCTET_STREAM, chunks, size, request.build_absolute_uri(request.path))]
            return ServedPayload(parts, media_type=OCTET_STREAM, resources=packs).response()
        answer = StreamingHttpResponse(Owned(chunks, packs), content_type=OCTET_STREAM)
        answer["Content-Length"] = str(size)
        return answer


def parse_frame_list(text: str) -> list[int]:
    """Frame numbers of the address, from 1, by comma (§10.1.4 Frame List).

    Raises:
        BadRequest: something else, too many, or one of them twice.
    """
    pieces = text.split(",")
    if len(pieces) > MAX_FRAMES:
        raise BadRequest(f"More than {MAX_FRAMES} frames are asked for at once.")
    if not all(piece.isascii() and piece.isdigit() and len(piece) < 10 for piece in pieces):
        raise BadRequest("The frames in the address are not whole numbers separated by commas.")
    numbers = [int(piece) for piece in pieces]
    if min(numbers) < 1:
        raise BadRequest("Frames are counted from 1.")
    if len(set(numbers)) < len(numbers):
        # One large frame named two thousand times would be an answer without bound.
        raise BadRequest("A frame is asked for twice.")
    return numbers


def require_frames(frames: Frames, numbers: list[int]) -> None:
    """Refuse frames that are not there.

    Raises:
        NotFound: saying how many there are.
    """
    if max(numbers) > frames.count:
        raise NotFound(f"The instance has {frames.count} frames that can be addressed.")


def transfer_syntax_of_frames(entry: InstanceEntry) -> str:
    """The syntax that a frame's bytes have: the stored one if compressed, else little endian."""
    if entry.frames.kind == "encapsulated":
        return entry.transfer_syntax_uid
    return str(ExplicitVRLittleEndian)


def frame_size(frames: Frames, number: int) -> int:
    """Bytes of one frame as it is given out."""
    ranges = frame_ranges(frames, number)
    if ranges is None:
        return -(-frames.frame_bits // 8)
    return sum(length for _, length in ranges)


def read_one(packs: OpenPacks, held: Held, entry: InstanceEntry, number: int) -> bytes:
    """One frame."""
    pack = packs.pack(held.index.pack_key)
    return read_frame(
        entry.frames, number, lambda offset, length: pack.read(entry.offset + offset, length)
    )


def frame_chunks(
    packs: OpenPacks, held: Held, entry: InstanceEntry, number: int
) -> Iterator[bytes]:
    """One frame, begun when its turn comes; about one chunk is held where it is plain ranges."""
    ranges = frame_ranges(entry.frames, number)
    if ranges is None:
        yield read_one(packs, held, entry, number)
        return
    pack = packs.pack(held.index.pack_key)
    gathered = bytearray()  # of fragments that are smaller than a chunk
    for offset, length in ranges:
        if gathered and len(gathered) + length > CHUNK_BYTES:
            yield bytes(gathered)
            gathered.clear()
        if length > CHUNK_BYTES:
            with closing(pack.stream(entry.offset + offset, length)) as chunks:
                yield from chunks
        else:
            gathered += pack.read(entry.offset + offset, length)
    if gathered:
        yield bytes(gathered)


def _single(
    packs: OpenPacks, held: Held, entry: InstanceEntry, number: int, media_type: str
) -> HttpResponseBase:
    size = frame_size(entry.frames, number)
    if size <= CHUNK_BYTES:
        body = read_one(packs, held, entry, number)
        packs.close()
        return HttpResponse(body, content_type=media_type)
    chunks = frame_chunks(packs, held, entry, number)
    answer = StreamingHttpResponse(Owned(chunks, packs), content_type=media_type)
    answer["Content-Length"] = str(size)
    return answer
