"""Frames and bulk data (PS3.18 §10.4.1.1.5 and §10.4.1.1.6, 2024e), by ranged reads of the pack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from pydicom.uid import ExplicitVRLittleEndian

from common.dicom.bulk import is_plain
from common.dicom.codecs import Recipe
from common.dicom.frames import Frames, frame_ranges, read_frame
from common.dicomweb.media_types import OCTET_STREAM, Representation
from common.dicomweb.multipart import Part
from common.dicomweb.negotiation import Form
from common.dicomweb.server import BadRequest, ServedPayload, not_modified, weak_tag
from common.dicomweb.single_part import ReadRange, revalidated, single_part
from common.errors import NotFound
from sharing.dicomweb import trail
from sharing.dicomweb.bulk import read_value
from sharing.dicomweb.documents import Held, OpenPacks, held_series
from sharing.dicomweb.forms import frame_form
from sharing.dicomweb.wado import RetrieveView

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from common.storage.cache import LocalObject

BULK_OFFERS = (Representation(OCTET_STREAM, multipart=False), Representation(OCTET_STREAM))
_MOST_TAG_CHARS = 200
MAX_FRAMES = 2_000  # in one request; the list is in the address
CHUNK_BYTES = 2**20  # as the stores stream


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
        stored = transfer_syntax_of_frames(entry)
        form, made = frame_form(self.accepted, held, entry, stored, single=len(numbers) == 1)
        etag = _tag(entry, numbers, form)
        same = not_modified(request, etag)
        if same is not None:
            return same
        packs = OpenPacks()
        packs.pack(held.index.pack_key)
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        if not form.multipart:
            return _single(request, packs, held, entry, numbers[0], form, made, etag)
        base = f"{self.url_of(place)}/instances/{instance_uid}/frames/"
        if made is None:
            parts: Iterable[Part] = [
                Part(
                    form.content_type,
                    frame_chunks(packs, held, entry, number),
                    frame_size(entry.frames, number),
                    f"{base}{number}",
                )
                for number in numbers
            ]
        else:
            parts = _made_parts(packs, held, entry, numbers, form, made, base)
        payload = ServedPayload(
            parts,
            media_type=form.media_type,
            parameters=f"; transfer-syntax={form.transfer_syntax_uid}",
            resources=packs,
        )
        return revalidated(payload.response(), etag)


def _tag(entry: InstanceEntry, numbers: list[int], form: Form) -> str:
    """Strong for a single part, whose bytes are always the same; weak where there are boundaries."""
    named = f"{entry.sha256[:32]}-{','.join(map(str, numbers))}-{form.transfer_syntax_uid}"
    if len(named) > _MOST_TAG_CHARS:
        return weak_tag(named)
    return f'W/"{named}"' if form.multipart else f'"{named}"'


def _made_parts(
    packs: OpenPacks,
    held: Held,
    entry: InstanceEntry,
    numbers: list[int],
    form: Form,
    made: Recipe,
    base: str,
) -> Iterable[Part]:
    """Frames in their new form, each made when its turn comes, the first one at once."""

    def part(number: int) -> Part:
        frame = made.frame(read_one(packs, held, entry, number))
        return Part(form.content_type, [frame], len(frame), f"{base}{number}")

    first = part(numbers[0])
    if len(numbers) == 1:
        return [first]
    return chain([first], map(part, numbers[1:]))


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
        chosen = self.negotiate(BULK_OFFERS, refusal=f"Bulk data are given as {OCTET_STREAM}.")
        named = f'"{entry.sha256[:32]}-{path}"'
        etag = f"W/{named}" if chosen.multipart else named
        same = not_modified(request, etag)
        if same is not None:
            return same
        packs = OpenPacks()
        pack = packs.pack(held.index.pack_key)
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        if chosen.multipart:
            chunks, size = read_value(pack, held, entry, path)
            location = f"{self.url_of(place)}/instances/{instance_uid}/bulkdata/{path}"
            parts = [Part(OCTET_STREAM, chunks, size, location)]
            payload = ServedPayload(parts, media_type=OCTET_STREAM, resources=packs)
            return revalidated(payload.response(), etag)
        read, size = _bulk_reader(pack, held, entry, path)
        return single_part(
            request, content_type=OCTET_STREAM, size=size, read=read, etag=etag, owner=packs
        )


def _bulk_reader(
    pack: LocalObject, held: Held, entry: InstanceEntry, path: str
) -> tuple[ReadRange, int]:
    """Any range of a value; where the value is no plain range of the pack, it is read whole first."""
    if is_plain(entry.transfer_syntax_uid):
        offset, size = entry.bulk[path]
        return lambda start, length: pack.stream(entry.offset + offset + start, length), size
    chunks, size = read_value(pack, held, entry, path)
    value = b"".join(chunks)
    return lambda start, length: [value[start : start + length]], size


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
    yield from read_chunks(packs.pack(held.index.pack_key), entry.offset, ranges)


def read_chunks(pack: LocalObject, start: int, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
    """Ranges in a row; offsets count from ``start``."""
    gathered: list[bytes] = []  # fragments that are smaller than a chunk; one alone is not copied
    size = 0
    for offset, length in ranges:
        if gathered and size + length > CHUNK_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
        if length > CHUNK_BYTES:
            with closing(pack.stream(start + offset, length)) as chunks:
                yield from chunks
        else:
            gathered.append(pack.read(start + offset, length))
            size += length
    if gathered:
        yield b"".join(gathered)


def _single(
    request: HttpRequest,
    packs: OpenPacks,
    held: Held,
    entry: InstanceEntry,
    number: int,
    form: Form,
    made: Recipe | None,
    etag: str,
) -> HttpResponseBase:
    pack = packs.pack(held.index.pack_key)
    ranges = frame_ranges(entry.frames, number) if made is None else None
    if ranges is not None:
        size = sum(length for _, length in ranges)

        def read(offset: int, length: int) -> Iterator[bytes]:
            return read_chunks(pack, entry.offset, cut(ranges, offset, length))
    else:
        frame = read_one(packs, held, entry, number)
        if made is not None:
            frame = made.frame(frame)
        size = len(frame)

        def read(offset: int, length: int) -> Iterator[bytes]:
            return iter([frame[offset : offset + length]])

    return single_part(
        request,
        content_type=form.content_type,
        size=size,
        read=read,
        etag=etag,
        owner=packs,
    )


def cut(ranges: list[tuple[int, int]], offset: int, length: int) -> list[tuple[int, int]]:
    """The part of the ranges, taken as one row of bytes, that starts there and is so long."""
    found = []
    for start, size in ranges:
        taken = min(size - offset, length)
        if taken > 0:
            found.append((start + offset, taken))
            length -= taken
        offset = max(0, offset - size)
    return found
