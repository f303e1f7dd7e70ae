"""Rendered resources and thumbnails (PS3.18 §10.4.1.1.3 and §10.4.1.1.4, 2024e)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from common.dicomweb.media_types import Representation
from common.dicomweb.multipart import Part
from common.dicomweb.render import Picture
from common.dicomweb.render_picture import GIF, JPEG, PNG
from common.dicomweb.server import NotAcceptable, ServedPayload, not_modified
from common.errors import DomainError
from sharing.dicomweb import trail
from sharing.dicomweb.documents import held_series
from sharing.dicomweb.drawing import Shot, draw_animation, drawn, keep, kept, tag_of
from sharing.dicomweb.frames import parse_frame_list, require_frames
from sharing.dicomweb.picture_parameters import read_notes, read_picture
from sharing.dicomweb.rendered_documents import document_answer
from sharing.dicomweb.wado import RetrieveView

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from sharing.selectors import SeriesPlace

MOST_PICTURES = 2_000  # of one answer
_THUMBNAIL = (128, 128)
_FIRST_TRIED = 3  # pictures of several, before all of them are taken for unreadable
_SINGLE = tuple(Representation(each, multipart=False) for each in (JPEG, PNG, GIF))
_PARTS = tuple(Representation(each) for each in (JPEG, PNG, GIF))
_ANIMATION = Representation(GIF, multipart=False)
_ONE_REFUSED = "Pictures are given as image/jpeg, image/png or image/gif."
_MANY_REFUSED = (
    'Several pictures are given as multipart/related; type="image/jpeg" (or image/png, image/gif), '
    "or as one animated image/gif."
)
_NO_PICTURE = "This resource has no picture that can be shown."


class PictureView(RetrieveView):
    """What all rendered resources share: reading the parameters, and answering one picture or several."""

    default_viewport: tuple[int, int] | None = None
    default_quality = 90

    @property
    def asked(self) -> Picture:
        """What the parameters ask for; the media type follows from the negotiation."""
        return read_picture(
            self.request.META.get("QUERY_STRING", ""),
            viewport=self.default_viewport,
            quality=self.default_quality,
        )

    def one(self, place: SeriesPlace, shot: Shot, media_type: str) -> HttpResponseBase:
        picture = _in_type(self.asked, media_type)
        etag = f'"{shot.key(picture)}"'
        same = not_modified(self.request, etag)
        if same is not None:
            return same
        body = drawn(shot, picture)
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        return self.finished(HttpResponse(body, content_type=media_type), etag)

    def several(
        self, shots: Sequence[tuple[SeriesPlace, Shot]], chosen: Representation
    ) -> HttpResponseBase:
        """Each in a part of its own, drawn when its turn comes; or all as one animation."""
        if not shots:
            raise NotAcceptable(_NO_PICTURE)
        if len(shots) > MOST_PICTURES:
            raise NotAcceptable(
                f"More than {MOST_PICTURES} pictures: ask for single instances or frames."
            )
        picture = _in_type(self.asked, chosen.media_type)
        etag = f'"{tag_of(chosen.multipart, *(shot.key(picture) for _, shot in shots))}"'
        same = not_modified(self.request, etag)
        if same is not None:
            return same
        if chosen.multipart:
            _require_one_of(shots, picture)
            parts = self._parts(shots, picture)
            payload = ServedPayload(parts, media_type=chosen.media_type, resources=_Nothing())
            answer: HttpResponseBase = payload.response()
        else:
            answer = HttpResponse(_animated(etag, shots, picture), content_type=GIF)
        trail.record_read(self.actor, shots[0][0].study, purpose=trail.VIEW)
        return self.finished(answer, etag)

    def _parts(self, shots: Sequence[tuple[SeriesPlace, Shot]], picture: Picture) -> Iterator[Part]:
        for place, shot in shots:
            try:
                body, media_type = drawn(shot, picture), picture.media_type
            except DomainError as refusal:
                # The others can be shown. A missing part would look as if there were no picture.
                body, media_type = f"{refusal.message}\n".encode(), "text/plain; charset=utf-8"
            yield self._part(place, shot, media_type, body)

    def _part(self, place: SeriesPlace, shot: Shot, media_type: str, body: bytes) -> Part:
        instance = f"{self.url_of(place)}/instances/{shot.entry.sop_instance_uid}"
        location = f"{instance}/frames/{shot.number}/rendered"
        return Part(media_type, [body], len(body), location)

    def finished(self, answer: HttpResponseBase, etag: str) -> HttpResponseBase:
        answer["ETag"] = etag
        # Asked again each time, so that a withdrawn right works; the answer is then 304.
        answer["Cache-Control"] = "private, no-cache"
        answer["Vary"] = "Accept, Cookie, Authorization"
        unknown = read_notes(self.request.GET.get("annotation", ""))[1]
        if unknown:
            answer["Warning"] = f'299 - "{unknown} values of annotation are not known here"'
        return answer


class RenderedView(PictureView):
    """``…/instances/{instance}/rendered`` and ``…/frames/{frames}/rendered``.

    A multi-frame instance in one part is its representative frame, else its first; in parts, all of them.
    """

    def get(
        self, request: HttpRequest, *, instance_uid: str, frames: str = "", **_: str
    ) -> HttpResponseBase:
        place = self.series()
        held = held_series(place)
        entry = held.instance(instance_uid)
        if entry.frames.count == 0:
            return document_answer(self, place, held, entry)
        numbers = self._numbers(entry, frames)
        if len(numbers) == 1 and (frames or entry.frames.count == 1):
            chosen = self.negotiate((*_SINGLE, *_PARTS), refusal=_ONE_REFUSED)
        elif frames:
            chosen = self.negotiate((*_PARTS, _ANIMATION), refusal=_MANY_REFUSED)
        else:
            chosen = self.negotiate((*_SINGLE, *_PARTS), refusal=_ONE_REFUSED)
            if chosen.multipart or chosen == _ANIMATION:
                numbers = list(range(1, entry.frames.count + 1))
        if len(numbers) == 1 and not chosen.multipart:
            return self.one(place, Shot(held, entry, numbers[0]), chosen.media_type)
        return self.several([(place, Shot(held, entry, each)) for each in numbers], chosen)

    def _numbers(self, entry: InstanceEntry, frames: str) -> list[int]:
        numbers = parse_frame_list(frames) if frames else [1]
        require_frames(entry.frames, numbers)
        return numbers


class RenderedSeriesView(PictureView):
    """``…/series/{series}/rendered``: every frame of every instance that has a picture."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        return self._answer([self.series()])

    def _answer(self, places: Sequence[SeriesPlace]) -> HttpResponseBase:
        chosen = self.negotiate((*_PARTS, _ANIMATION), refusal=_MANY_REFUSED)
        shots: list[tuple[SeriesPlace, Shot]] = []
        for place in places:
            held = held_series(place)
            for entry in held.index.instances:
                if len(shots) + entry.frames.count > MOST_PICTURES:
                    raise NotAcceptable(
                        f"More than {MOST_PICTURES} pictures: ask for single series or instances."
                    )
                numbers = range(1, entry.frames.count + 1)
                shots += [(place, Shot(held, entry, number)) for number in numbers]
        return self.several(shots, chosen)


class RenderedStudyView(RenderedSeriesView):
    """``/studies/{study}/rendered``: the same of all its series."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        return self._answer(self.series_of_study())


class SmallPictureView(PictureView):
    """What thumbnails share: 128 pixels on the longer side unless a viewport is given.

    They hold nothing that names the patient (§10.4.1.1.4), so ``annotation`` is none of their parameters.
    """

    default_viewport = _THUMBNAIL
    default_quality = 75

    @property
    def asked(self) -> Picture:
        return replace(super().asked, notes=())


class ThumbnailView(SmallPictureView, RenderedView):
    """A small picture of one frame."""

    def get(
        self, request: HttpRequest, *, instance_uid: str, frames: str = "", **_: str
    ) -> HttpResponseBase:
        place = self.series()
        held = held_series(place)
        entry = held.instance(instance_uid)
        if entry.frames.count == 0:
            raise NotAcceptable(_NO_PICTURE)
        numbers = self._numbers(entry, frames)
        if len(numbers) > 1:
            raise NotAcceptable("A thumbnail is that of one frame.")
        chosen = self.negotiate(_SINGLE, refusal=_ONE_REFUSED)
        return self.one(place, Shot(held, entry, numbers[0]), chosen.media_type)


class ThumbnailOfManyView(SmallPictureView):
    """Thumbnail of a series or a study: the middle frame of its middle instance that can be shown."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        places = [self.series()] if "series_uid" in self.kwargs else self.series_of_study()
        chosen = self.negotiate(_SINGLE, refusal=_ONE_REFUSED)
        refused = NotAcceptable(_NO_PICTURE)
        for place, shot in _candidates(places):
            try:
                return self.one(place, shot, chosen.media_type)
            except NotAcceptable as refusal:
                refused = refusal
        raise refused


def _candidates(places: Sequence[SeriesPlace]) -> Iterator[tuple[SeriesPlace, Shot]]:
    """The middle of each of the first series that have pictures."""
    tried = 0
    for place in places:
        held = held_series(place)
        pictured = [entry for entry in held.index.instances if entry.frames.count]
        if pictured and tried < _FIRST_TRIED:
            tried += 1
            entry = pictured[len(pictured) // 2]
            yield place, Shot(held, entry, (entry.frames.count + 1) // 2)


def _require_one_of(shots: Sequence[tuple[SeriesPlace, Shot]], picture: Picture) -> None:
    """Draw before the answer starts: a refusal of all is an answer, not a body full of excuses."""
    refused = NotAcceptable(_NO_PICTURE)
    for _, shot in shots[:_FIRST_TRIED]:
        try:
            drawn(shot, picture)
        except NotAcceptable as refusal:
            refused = refusal
        else:
            return
    raise refused


def _animated(etag: str, shots: Sequence[tuple[SeriesPlace, Shot]], picture: Picture) -> bytes:
    key = etag.strip('"')
    body = kept(key)
    if body is None:
        body = draw_animation([shot for _, shot in shots], picture)
        keep(key, body)
    return body


@lru_cache(maxsize=1024)
def _in_type(picture: Picture, media_type: str) -> Picture:
    return replace(picture, media_type=media_type)


class _Nothing:
    """Pictures are read and closed one by one: the payload has nothing to close."""

    def close(self) -> None:
        return None
