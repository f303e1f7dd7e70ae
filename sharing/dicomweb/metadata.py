"""Metadata resources (PS3.18 §10.4.1.1.2, 2024e): JSON as it was written on arrival, or XML made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import orjson
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from common.dicom.xml_model import MEDIA_TYPE as DICOM_XML
from common.dicom.xml_model import native_xml
from common.dicomweb.media_types import Representation
from common.dicomweb.multipart import Part
from common.dicomweb.server import ServedPayload, not_modified, weak_tag
from sharing.dicomweb import trail
from sharing.dicomweb.documents import (
    OpenPacks,
    held_series,
    metadata_gzip,
    metadata_gzip_at,
    metadata_plain,
    with_addresses,
)
from sharing.dicomweb.origin import JSON_OFFERS
from sharing.dicomweb.wado import RetrieveView

if TYPE_CHECKING:
    from sharing.selectors import SeriesPlace

OFFERS = (*JSON_OFFERS, Representation(DICOM_XML))
JSON_OR_XML = (
    "Metadata are given as application/dicom+json, "
    'or as multipart/related; type="application/dicom+xml".'
)


class MetadataView(RetrieveView):
    """Written once on arrival, never made from files here."""

    form: Representation

    def begin(self, *prefixes: str) -> tuple[HttpResponse | None, str]:
        """304 if the caller has this very revision; else nothing, and the entity tag to send.

        The tag is weak: the same document goes out compressed and not.
        """
        self.form = self.negotiate(OFFERS, refusal=JSON_OR_XML)
        etag = weak_tag(self.root.url, self.form.media_type, *prefixes)
        return not_modified(self.request, etag), etag

    def as_xml(self, places: Iterable[SeriesPlace], instance_uid: str = "") -> HttpResponseBase:
        """Native DICOM Model documents, one part each (§8.7.3.3)."""
        parts = self._documents(places, instance_uid)
        return ServedPayload(parts, media_type=DICOM_XML, resources=OpenPacks()).response()

    def _documents(self, places: Iterable[SeriesPlace], instance_uid: str) -> Iterator[Part]:
        for place in places:
            held = held_series(place)
            for entry in held.index.instances:
                if instance_uid in ("", entry.sop_instance_uid):
                    line = with_addresses(held.metadata(entry.sop_instance_uid), self.url_of(place))
                    document = native_xml(orjson.loads(line))
                    location = f"{self.url_of(place)}/instances/{entry.sop_instance_uid}/metadata"
                    yield Part(DICOM_XML, [document], len(document), location)

    def finish(self, answer: HttpResponseBase, etag: str) -> HttpResponseBase:
        answer["ETag"] = etag
        # Asked again each time, so that a withdrawn right works; the answer is then 304.
        answer["Cache-Control"] = "private, no-cache"
        answer["Vary"] = "Accept, Accept-Encoding, Cookie, Authorization"
        return answer


class StudyMetadataView(MetadataView):
    """``/studies/{study}/metadata``; holds one series at a time."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        places = self.series_of_study()
        same, etag = self.begin(*(place.prefix for place in places))
        if same is not None:
            return same
        metadata_gzip(places[0].prefix)
        trail.record_read(self.actor, places[0].study, purpose=trail.VIEW)
        if self.form.media_type == DICOM_XML:
            return self.finish(self.as_xml(places), etag)
        answer = StreamingHttpResponse(self._array(places), content_type=self.form.media_type)
        return self.finish(answer, etag)

    def _array(self, places: list[SeriesPlace]) -> Iterator[bytes]:
        opening = b"["
        for place in places:
            text = with_addresses(metadata_plain(place.prefix), self.url_of(place))
            yield opening + text.strip()[1:-1]
            opening = b",\n"
        yield b"]"


class SeriesMetadataView(MetadataView):
    """``/studies/{study}/series/{series}/metadata``: the stored document, compressed if accepted (ADR 0020)."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        place = self.series()
        same, etag = self.begin(place.prefix)
        if same is not None:
            return same
        metadata_gzip(place.prefix)  # a lost document is an error before anything is noted
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        if self.form.media_type == DICOM_XML:
            return self.finish(self.as_xml([place]), etag)
        if accepts_gzip(request):
            data = metadata_gzip_at(place.prefix, self.url_of(place))
            answer = HttpResponse(data, content_type=self.form.media_type)
            answer["Content-Encoding"] = "gzip"
        else:
            text = with_addresses(metadata_plain(place.prefix), self.url_of(place))
            answer = HttpResponse(text, content_type=self.form.media_type)
        return self.finish(answer, etag)


class InstanceMetadataView(MetadataView):
    """``/studies/{study}/series/{series}/instances/{instance}/metadata``."""

    def get(self, request: HttpRequest, *, instance_uid: str, **_: str) -> HttpResponseBase:
        place = self.series()
        line = held_series(place).metadata(instance_uid)
        same, etag = self.begin(place.prefix)
        if same is not None:
            return same
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        if self.form.media_type == DICOM_XML:
            return self.finish(self.as_xml([place], instance_uid), etag)
        body = b"[" + with_addresses(line, self.url_of(place)) + b"]"
        return self.finish(HttpResponse(body, content_type=self.form.media_type), etag)


def accepts_gzip(request: HttpRequest) -> bool:
    """Whether the stored compression may go out as it is (RFC 9110 §12.5.3)."""
    for each in request.headers.get("Accept-Encoding", "").split(","):
        coding, _, weight = each.strip().partition(";")
        if coding.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
