"""Retrieve Transaction (WADO-RS, PS3.18 §10.4, 2024e): bytes as the hospital sent them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from pydicom.uid import ExplicitVRLittleEndian

from common.dicomweb.media_types import DICOM, DICOM_JSON, Representation, choose
from common.dicomweb.multipart import Part
from common.dicomweb.server import Closable, ServedPayload, not_modified
from sharing import selectors
from sharing.dicomweb import trail
from sharing.dicomweb.documents import (
    Held,
    OpenPacks,
    held_series,
    metadata_gzip,
)
from sharing.dicomweb.on_demand import add_warnings, not_here_yet, shortfalls
from sharing.dicomweb.origin import JSON_OFFERS, JSON_ONLY, OriginView
from sharing.errors import NotPulledYet
from sharing.services import on_demand

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from sharing.selectors import SeriesPlace, StudyPlace

_RELATIVE = b'"BulkDataURI":"instances/'


class RetrieveView(OriginView):
    """A resource of one study: places it for the caller, or answers that there is none.

    What is not here is fetched from its hospital (``on_demand``): waited for, or 503 with a link to the progress.
    """

    lacking: Sequence[str] = ()  # of what the hospital lists, in sentences

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            answer = super().handle(request, *args, **kwargs)
        except NotPulledYet as refusal:
            return not_here_yet(request, refusal, self.study())
        add_warnings(answer, self.root.url, self.lacking)
        return answer

    def study(self) -> StudyPlace:
        return selectors.place_study(
            actor=self.actor,
            study_instance_uid=self.kwargs["study_uid"],
            institution_code=self.institution_code,
        )

    def series(self) -> SeriesPlace:
        try:
            place = self.held_series()
        except NotPulledYet:
            place = on_demand.wait_for_series(
                actor=self.actor,
                place=self.study(),
                series_instance_uid=self.kwargs["series_uid"],
            )
        self.lacking = shortfalls([place])
        return place

    def held_series(self) -> SeriesPlace:
        """The series, if it is here.

        Raises:
            NotPulledYet: it is not.
        """
        return selectors.place_series(
            actor=self.actor,
            study_instance_uid=self.kwargs["study_uid"],
            series_instance_uid=self.kwargs["series_uid"],
            institution_code=self.institution_code,
        )

    def series_of_study(self) -> list[SeriesPlace]:
        """Every series of the study, those that were not here too.

        Raises:
            NotPulledYet: they did not come in time.
        """
        study = self.study()
        missing: list[str] = []
        if on_demand.lacks_series(study.study_id):
            places, missing = on_demand.wait_for_study(actor=self.actor, place=study)
        else:
            places = selectors.list_series_places(study)
        self.lacking = shortfalls(places, missing)
        return places + self.derived(study)

    def derived(self, study: StudyPlace) -> list[SeriesPlace]:
        """Series that go with the study and lie in another copy."""
        return selectors.list_derived_places(
            actor=self.actor, place=study, institution_code=self.institution_code
        )

    def url_of(self, place: SeriesPlace) -> str:
        study = f"{self.root.url}/studies/{place.study.study_instance_uid}"
        return f"{study}/series/{place.series_instance_uid}"


class InstancesView(RetrieveView):
    """Whole instances as multipart/related; type="application/dicom"."""

    def instances(self, places: list[SeriesPlace]) -> StreamingHttpResponse:
        packs = OpenPacks()
        parts: list[Part] = []
        for place in places:
            held = held_series(place)
            base = f"{self.url_of(place)}/instances/"
            parts += [self._part(packs, held, entry, base) for entry in held.index.instances]
        # Opened before the answer starts: a missing object is an error, not a cut-off stream.
        packs.pack(held_series(places[0]).index.pack_key)
        trail.record_read(self.actor, places[0].study, purpose=trail.RETRIEVE)
        return ServedPayload(parts, media_type=DICOM, resources=packs).response()

    def _part(self, packs: OpenPacks, held: Held, entry: InstanceEntry, base: str) -> Part:
        syntax = entry.transfer_syntax_uid
        self.negotiate(
            [Representation(DICOM, syntax)],
            refusal=f"Instances are given as stored, in the transfer syntax {syntax}, as "
            f'multipart/related; type="{DICOM}"; transfer-syntax=*.',
        )
        return Part(
            f"{DICOM}; transfer-syntax={syntax}",
            packs.instance(held.index, entry),
            entry.size,
            base + entry.sop_instance_uid,
        )

    @property
    def takes_any_syntax(self) -> bool:
        """Whether instances may go out as they arrive, whatever syntax the next one has."""
        any_syntax = [Representation(DICOM, "*")]
        default = str(ExplicitVRLittleEndian)
        return choose(self.accepted, any_syntax, default_transfer_syntax_uid=default) is not None

    def arriving(self, reading: on_demand.Reading, *more: SeriesPlace) -> StreamingHttpResponse:
        """What is here from its packs and the rest while it comes; no closing boundary where it does not.

        Its length is not known, and ``more`` goes out at the end.
        """
        self.lacking = shortfalls((), reading.missing)
        packs = OpenPacks()
        trail.record_read(self.actor, reading.place, purpose=trail.RETRIEVE)
        parts = self._arriving_parts(reading, more, packs)
        return ServedPayload(
            parts, media_type=DICOM, resources=_Together(packs, reading)
        ).response()

    def _arriving_parts(
        self, reading: on_demand.Reading, more: Sequence[SeriesPlace], packs: OpenPacks
    ) -> Iterator[Part]:
        for piece in chain(reading, map(on_demand.Archived, more)):
            if isinstance(piece, on_demand.Archived):
                held = held_series(piece.place)
                base = f"{self.url_of(piece.place)}/instances/"
                for entry in held.index.instances:
                    if entry.sop_instance_uid not in piece.without:
                        yield self._part(packs, held, entry, base)
            else:
                series = f"{self.root.url}/studies/{reading.place.study_instance_uid}/series"
                yield Part(
                    f"{DICOM}; transfer-syntax={piece.entry.transfer_syntax_uid}",
                    piece.chunks(),
                    piece.entry.size,
                    f"{series}/{piece.series_instance_uid}/instances/{piece.entry.sop_instance_uid}",
                )


class _Together:
    """What one answer reads from."""

    def __init__(self, *resources: Closable) -> None:
        self._resources = resources

    def close(self) -> None:
        for each in self._resources:
            each.close()


class RetrieveStudyView(InstancesView):
    """``/studies/{study}``."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        study = self.study()
        if self.takes_any_syntax and on_demand.lacks_series(study.study_id):
            reading = on_demand.open_study(actor=self.actor, place=study)
            if reading is not None:
                return self.arriving(reading, *self.derived(study))
        return self.instances(self.series_of_study())


class RetrieveSeriesView(InstancesView):
    """``/studies/{study}/series/{series}``."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        try:
            self.held_series()
        except NotPulledYet:
            if self.takes_any_syntax and (reading := self._reading()) is not None:
                return self.arriving(reading)
        return self.instances([self.series()])

    def _reading(self) -> on_demand.Reading | None:
        return on_demand.open_series(
            actor=self.actor,
            place=self.study(),
            series_instance_uid=self.kwargs["series_uid"],
        )


class RetrieveInstanceView(InstancesView):
    """``/studies/{study}/series/{series}/instances/{instance}``, multipart or a single part."""

    def get(self, request: HttpRequest, *, instance_uid: str, **_: str) -> HttpResponseBase:
        place = self.series()
        held = held_series(place)
        entry = held.instance(instance_uid)
        syntax = entry.transfer_syntax_uid
        chosen = self.negotiate(
            [Representation(DICOM, syntax), Representation(DICOM, syntax, multipart=False)],
            refusal=f"This instance is given as stored, as {DICOM} in the transfer syntax {syntax}.",
        )
        packs = OpenPacks()
        packs.pack(held.index.pack_key)
        trail.record_read(self.actor, place.study, purpose=trail.RETRIEVE)
        media_type = f"{DICOM}; transfer-syntax={syntax}"
        if chosen.multipart:
            location = f"{self.url_of(place)}/instances/{instance_uid}"
            part = Part(media_type, packs.instance(held.index, entry), entry.size, location)
            return ServedPayload([part], media_type=DICOM, resources=packs).response()
        answer = StreamingHttpResponse(
            Owned(packs.instance(held.index, entry), packs), content_type=media_type
        )
        answer["Content-Length"] = str(entry.size)
        return answer


class Owned:
    """A body in a single part; what it is read from is closed with the response."""

    def __init__(self, chunks: Iterable[bytes], packs: OpenPacks) -> None:
        self._chunks, self._packs = chunks, packs

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        close: Callable[[], None] | None = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self._packs.close()


class MetadataView(RetrieveView):
    """Metadata resources (PS3.18 §10.4.1.1.2): written once on arrival, never made from files here."""

    def begin(self, *prefixes: str) -> tuple[HttpResponse | None, str]:
        """304 if the caller has this very revision; else nothing, and the entity tag to send.

        The tag is weak: the same document goes out compressed and not.
        """
        self.negotiate(JSON_OFFERS, refusal=JSON_ONLY)
        etag = f'W/"{hashlib.sha256(" ".join(prefixes).encode()).hexdigest()[:32]}"'
        return not_modified(self.request, etag), etag

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
        answer = StreamingHttpResponse(self._array(places), content_type=DICOM_JSON)
        return self.finish(answer, etag)

    def _array(self, places: list[SeriesPlace]) -> Iterator[bytes]:
        opening = b"["
        for place in places:
            # Relative addresses hold for the series' own document only.
            absolute = b'"BulkDataURI":"' + f"{self.url_of(place)}/instances/".encode()
            text = gzip.decompress(metadata_gzip(place.prefix)).replace(_RELATIVE, absolute)
            yield opening + text.strip()[1:-1]
            opening = b",\n"
        yield b"]"


class SeriesMetadataView(MetadataView):
    """``/studies/{study}/series/{series}/metadata``: the stored document, compressed if accepted."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        place = self.series()
        same, etag = self.begin(place.prefix)
        if same is not None:
            return same
        data = metadata_gzip(place.prefix)
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        if accepts_gzip(request):
            answer = HttpResponse(data, content_type=DICOM_JSON)
            answer["Content-Encoding"] = "gzip"
        else:
            answer = HttpResponse(gzip.decompress(data), content_type=DICOM_JSON)
        return self.finish(answer, etag)


class InstanceMetadataView(MetadataView):
    """``/studies/{study}/series/{series}/instances/{instance}/metadata``."""

    def get(self, request: HttpRequest, *, instance_uid: str, **_: str) -> HttpResponseBase:
        place = self.series()
        line = held_series(place).metadata(instance_uid)
        same, etag = self.begin(place.prefix)
        if same is not None:
            return same
        absolute = b'"BulkDataURI":"' + f"{self.url_of(place)}/instances/".encode()
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        body = b"[" + line.replace(_RELATIVE, absolute) + b"]"
        return self.finish(HttpResponse(body, content_type=DICOM_JSON), etag)


def accepts_gzip(request: HttpRequest) -> bool:
    """Whether the stored compression may go out as it is (RFC 9110 §12.5.3)."""
    for each in request.headers.get("Accept-Encoding", "").split(","):
        coding, _, weight = each.strip().partition(";")
        if coding.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
