"""Stored instances and frames in the form that a request asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from common.dicom.codecs import NotDecodable, NotEncodable, Recipe, recipe
from common.dicom.transcode import StoredInstance, Transcoding, transcoding
from common.dicomweb.media_types import DICOM, MediaType
from common.dicomweb.negotiation import Form, frame_forms, instance_forms
from common.dicomweb.server import NotAcceptable

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from sharing.dicomweb.documents import Held, OpenPacks

_MOST_REASONS = 3


def stored_instance(packs: OpenPacks, held: Held, entry: InstanceEntry) -> StoredInstance:
    """The instance as transcoding reads it."""
    return StoredInstance(
        read=partial(_read, packs, held.index.pack_key, entry.offset),
        size=entry.size,
        transfer_syntax_uid=entry.transfer_syntax_uid,
        attributes=attributes_of(held, entry),
        frames=entry.frames,
        bulk=entry.bulk,
    )


def attributes_of(held: Held, entry: InstanceEntry) -> dict[str, Any]:
    """The header in the DICOM JSON model."""
    found: dict[str, Any] = orjson.loads(held.metadata(entry.sop_instance_uid))
    return found


def _read(packs: OpenPacks, key: str, start: int, offset: int, length: int) -> bytes:
    return packs.pack(key).read(start + offset, length)


def instance_form(
    accepted: Iterable[MediaType],
    packs: OpenPacks,
    held: Held,
    entry: InstanceEntry,
    *,
    single: bool,
) -> Form:
    """The best form of this instance that can be had.

    Raises:
        NotAcceptable: none; the text says what was asked for and why it cannot be.
    """
    stored, reasons = entry.transfer_syntax_uid, []
    for form in instance_forms(accepted, stored, single=single):
        if form.as_stored:
            return form
        try:
            made = transcoding(stored_instance(packs, held, entry), form.transfer_syntax_uid)
        except (NotDecodable, NotEncodable) as refusal:
            reasons.append(refusal.message)
        else:
            return Form(DICOM, made.transfer_syntax_uid, form.multipart, as_stored=False)
    raise NotAcceptable(
        _said(reasons)
        + f"The instance is stored in the transfer syntax {stored}; as it is, it is given as "
        f'multipart/related; type="{DICOM}"; transfer-syntax=*.'
    )


def transcoded(
    packs: OpenPacks, held: Held, entry: InstanceEntry, transfer_syntax_uid: str
) -> Iterator[bytes]:
    """The instance in another transfer syntax, begun when its turn comes."""
    made: Transcoding = transcoding(stored_instance(packs, held, entry), transfer_syntax_uid)
    yield from made.chunks()


def frame_form(
    accepted: Iterable[MediaType], held: Held, entry: InstanceEntry, stored: str, *, single: bool
) -> tuple[Form, Recipe | None]:
    """The best form of its frames that can be had, and how they get there.

    Raises:
        NotAcceptable: none; with the reason.
    """
    reasons = []
    for form in frame_forms(accepted, stored, single=single):
        if form.as_stored:
            return form, None
        try:
            made = recipe(
                attributes_of(held, entry), stored, form.transfer_syntax_uid, keep_colors=True
            )
        except (NotDecodable, NotEncodable) as refusal:
            reasons.append(refusal.message)
        else:
            return form, made
    raise NotAcceptable(
        _said(reasons)
        + f"The frames are stored in the transfer syntax {stored}; as they are, they "
        "are given with transfer-syntax=*."
    )


def _said(reasons: list[str]) -> str:
    return "".join(f"{reason} " for reason in dict.fromkeys(reasons[:_MOST_REASONS]))


def begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, the first one made already: what it raises is an answer, not a cut-off stream."""
    first = next(chunks, b"")
    return _again(first, chunks)


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
