"""All bulk data, or all pixels, of an instance, a series or a study (PS3.18 §10.4.3.3.5 and .6, 2024e)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common.dicomweb.media_types import OCTET_STREAM, Representation
from common.dicomweb.multipart import Part
from common.dicomweb.server import ServedPayload
from common.errors import NotFound
from sharing.dicomweb import trail
from sharing.dicomweb.bulk import read_value
from sharing.dicomweb.documents import Held, OpenPacks, held_series
from sharing.dicomweb.forms import frame_form
from sharing.dicomweb.frames import (
    frame_chunks,
    frame_size,
    read_one,
    transfer_syntax_of_frames,
)
from sharing.dicomweb.wado import RetrieveView

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from common.dicom.codecs import Recipe
    from common.dicomweb.negotiation import Form
    from sharing.selectors import SeriesPlace

_Found = list[tuple["SeriesPlace", Held, "InstanceEntry"]]


class _OfManyView(RetrieveView):
    """What is asked of one instance, of a series or of a study."""

    def entries(self) -> _Found:
        """Every instance of the resource."""
        places = [self.series()] if "series_uid" in self.kwargs else self.series_of_study()
        wanted = self.kwargs.get("instance_uid")
        if wanted is not None:
            held = held_series(places[0])
            return [(places[0], held, held.instance(str(wanted)))]
        found: _Found = []
        for place in places:
            held = held_series(place)
            found += [(place, held, entry) for entry in held.index.instances]
        return found

    def streamed(
        self, found: _Found, packs: OpenPacks, parts: Iterator[Part], media_type: str
    ) -> HttpResponseBase:
        """The parts, each made when its turn comes."""
        packs.require([held.index.pack_key for _, held, _ in found])
        trail.record_read(self.actor, found[0][0].study, purpose=trail.VIEW)
        return ServedPayload(parts, media_type=media_type, resources=packs).response()


class BulkDataOfManyView(_OfManyView):
    """``…/bulkdata``: each value as a part, at the address that the metadata give it."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        self.negotiate(
            [Representation(OCTET_STREAM)],
            refusal=f'Bulk data are given as multipart/related; type="{OCTET_STREAM}".',
        )
        found = [each for each in self.entries() if each[2].bulk]
        if not found:
            raise NotFound("There are no bulk data.")
        packs = OpenPacks()
        return self.streamed(found, packs, self._parts(found, packs), OCTET_STREAM)

    def _parts(self, found: _Found, packs: OpenPacks) -> Iterator[Part]:
        for place, held, entry in found:
            base = f"{self.url_of(place)}/instances/{entry.sop_instance_uid}/bulkdata/"
            for path in entry.bulk:
                pack = packs.pack(held.index.pack_key)
                chunks, size = read_value(pack, held, entry, path)
                yield Part(OCTET_STREAM, chunks, size, base + path)


class PixelDataOfManyView(_OfManyView):
    """``…/pixeldata``: each frame as a part, in the form that is asked for."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        found = [each for each in self.entries() if each[2].frames.count]
        if not found:
            raise NotFound("There are no pixels.")
        forms = [self._form(held, entry) for _, held, entry in found]
        packs = OpenPacks()
        return self.streamed(found, packs, self._parts(found, forms, packs), forms[0][0].media_type)

    def _form(self, held: Held, entry: InstanceEntry) -> tuple[Form, Recipe | None]:
        stored = transfer_syntax_of_frames(entry)
        form, made = frame_form(self.accepted, held, entry, stored, single=False)
        # Without its header: those of a whole study are many.
        return form, None if made is None else made.without_header()

    def _parts(
        self, found: _Found, forms: list[tuple[Form, Recipe | None]], packs: OpenPacks
    ) -> Iterator[Part]:
        for (place, held, entry), (form, made) in zip(found, forms, strict=True):
            base = f"{self.url_of(place)}/instances/{entry.sop_instance_uid}/frames/"
            for number in range(1, entry.frames.count + 1):
                if made is None:
                    chunks = frame_chunks(packs, held, entry, number)
                    size = frame_size(entry.frames, number)
                    yield Part(form.content_type, chunks, size, f"{base}{number}")
                else:
                    frame = made.frame(read_one(packs, held, entry, number))
                    yield Part(form.content_type, [frame], len(frame), f"{base}{number}")
