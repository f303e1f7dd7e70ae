"""Rendered forms of what is no picture: encapsulated PDF, stored video, structured reports.

PS3.18 Table 8.7.4-1 (Rendered Media Types by Resource Category), 2024e. Video goes out only as it is stored:
no encoder is part of the product (ADR 0012).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from common.dicom.bulk import is_plain
from common.dicomweb.media_types import Representation
from common.dicomweb.render_report import is_report, report_html, report_text
from common.dicomweb.render_source import Source
from common.dicomweb.server import NotAcceptable
from common.dicomweb.single_part import revalidated, single_part
from sharing.dicomweb import trail
from sharing.dicomweb.bulk import read_value
from sharing.dicomweb.documents import Held, OpenPacks
from sharing.dicomweb.drawing import tag_of
from sharing.dicomweb.wado import RetrieveView

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from common.storage.cache import LocalObject
    from sharing.selectors import SeriesPlace

PDF, HTML, TEXT = "application/pdf", "text/html", "text/plain"
MPEG, MP4 = "video/mpeg", "video/mp4"
_DOCUMENT, _DOCUMENT_TYPE, _DOCUMENT_LENGTH = "00420011", "00420012", "00420015"
_PIXELS = "7FE00010"
_ITEM = b"\xfe\xff\x00\xe0"
_MPEG2 = {"1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101"}
_MPEG4 = {
    f"1.2.840.10008.1.2.4.{number}{fragmentable}"
    for number in (*range(102, 109),)
    for fragmentable in ("", ".1")
}
_NO_PICTURE = "This instance has no picture that can be shown: retrieve the instance instead."


def document_answer(
    view: RetrieveView, place: SeriesPlace, held: Held, entry: InstanceEntry
) -> HttpResponseBase:
    """The instance in a form that a browser shows.

    Raises:
        NotAcceptable: there is none, or none that the caller accepts.
    """
    attributes = orjson.loads(held.metadata(entry.sop_instance_uid))
    if _DOCUMENT in attributes:
        answer = _document(view, held, entry, attributes)
    elif entry.transfer_syntax_uid in _MPEG2 | _MPEG4 and _PIXELS in entry.bulk:
        answer = _video(view, held, entry)
    elif is_report(attributes):
        answer = _report(view, held, entry, attributes)
    else:
        raise NotAcceptable(_NO_PICTURE)
    trail.record_read(view.actor, place.study, purpose=trail.VIEW)
    return answer


def _tag(held: Held, entry: InstanceEntry, media_type: str) -> str:
    return f'"{tag_of(held.prefix, entry.sop_instance_uid, media_type)}"'


def _document(
    view: RetrieveView, held: Held, entry: InstanceEntry, attributes: dict[str, Any]
) -> HttpResponseBase:
    source = Source(attributes)
    if source.text(_DOCUMENT_TYPE).lower() != PDF:
        # Other kinds may hold script, which a browser would run as ours.
        raise NotAcceptable(
            "Of encapsulated documents PDF is shown: retrieve the instance instead."
        )
    view.negotiate([Representation(PDF, multipart=False)], refusal=f"The document is {PDF}.")
    said = source.whole(_DOCUMENT_LENGTH, -1)  # without the byte that makes it even
    packs = OpenPacks()
    inline = attributes[_DOCUMENT].get("InlineBinary")
    if inline is None and is_plain(entry.transfer_syntax_uid):
        offset, size = entry.bulk[_DOCUMENT]
        ranges = [(entry.offset + offset, said if 0 < said < size else size)]
        return _part(view, held, entry, PDF, ranges=ranges, packs=packs)
    if inline is None:
        pack = packs.pack(held.index.pack_key)
        data = b"".join(read_value(pack, held, entry, _DOCUMENT)[0])
    else:
        data = base64.b64decode(inline)
    return single_part(
        view.request,
        content_type=PDF,
        size=said if 0 < said < len(data) else len(data),
        read=lambda offset, length: [data[offset : offset + length]],
        etag=_tag(held, entry, PDF),
        owner=packs,
    )


def _video(view: RetrieveView, held: Held, entry: InstanceEntry) -> HttpResponseBase:
    media_type = MPEG if entry.transfer_syntax_uid in _MPEG2 else MP4
    view.negotiate(
        [Representation(media_type, multipart=False)], refusal=f"The video is {media_type}."
    )
    packs = OpenPacks()
    try:
        pack = packs.pack(held.index.pack_key)
        ranges = _fragments(pack, entry)
        if media_type == MP4:
            _require_mp4(pack, ranges)
    except BaseException:
        packs.close()
        raise
    return _part(view, held, entry, media_type, ranges=ranges, packs=packs)


def _part(
    view: RetrieveView,
    held: Held,
    entry: InstanceEntry,
    media_type: str,
    *,
    ranges: list[tuple[int, int]],
    packs: OpenPacks,
) -> HttpResponseBase:
    """These ranges of the pack in a row; players ask for parts of them."""
    pack = packs.pack(held.index.pack_key)

    def read(offset: int, length: int) -> Iterator[bytes]:
        for start, size in ranges:
            take = min(size - offset, length)
            if offset < size and take > 0:
                yield from pack.stream(start + offset, take)
                length -= take
            offset = max(0, offset - size)

    return single_part(
        view.request,
        content_type=media_type,
        size=sum(size for _, size in ranges),
        read=read,
        etag=_tag(held, entry, media_type),
        owner=packs,
    )


def _require_mp4(pack: LocalObject, ranges: list[tuple[int, int]]) -> None:
    """The container may be MP4 or a transport stream (PS3.5 §8.2.7); browsers play the first."""
    # Where an MP4 file says what it is (ISO/IEC 14496-12 §4.3).
    if not ranges or ranges[0][1] < 8 or pack.read(ranges[0][0] + 4, 4) != b"ftyp":
        raise NotAcceptable(
            "The video is stored in a stream that browsers do not play (no MP4 container): "
            "retrieve the instance instead."
        )


def _fragments(pack: LocalObject, entry: InstanceEntry) -> list[tuple[int, int]]:
    """Places of the fragments behind the offset table, within the pack (PS3.5 §A.4)."""
    offset, length = entry.bulk[_PIXELS]
    at, end = entry.offset + offset, entry.offset + offset + length
    found: list[tuple[int, int]] = []
    while at + 8 <= end:
        head = pack.read(at, 8)
        if head[:4] != _ITEM:
            break
        size = struct.unpack("<I", head[4:])[0]
        found.append((at + 8, size))
        at += 8 + size
    return found[1:]


def _report(
    view: RetrieveView, held: Held, entry: InstanceEntry, attributes: dict[str, Any]
) -> HttpResponseBase:
    offers = [Representation(HTML, multipart=False), Representation(TEXT, multipart=False)]
    chosen = view.negotiate(offers, refusal=f"Reports are given as {HTML} or {TEXT}.").media_type
    body = report_html(attributes) if chosen == HTML else report_text(attributes)
    answer = HttpResponse(body, content_type=f"{chosen}; charset=utf-8")
    return revalidated(answer, _tag(held, entry, chosen))
