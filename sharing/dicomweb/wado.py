"""Retrieve Transaction (WADO-RS, PS3.18 §10.4, 2024e): instances as they are stored, or transcoded on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.encoding import escape_uri_path

from common.dicomweb.media_types import DICOM
from common.dicomweb.multipart import Part
from common.dicomweb.negotiation import Form, instance_forms
from common.dicomweb.server import Closable, ServedPayload, not_modified, weak_tag
from common.dicomweb.single_part import Owned, revalidated, single_part
from sharing import selectors
from sharing.dicomweb import trail
from sharing.dicomweb.documents import Held, OpenPacks, held_series
from sharing.dicomweb.forms import begun, instance_form, transcoded
from sharing.dicomweb.on_demand import add_alternates, add_warnings, require_reader, shortfalls
from sharing.dicomweb.origin import OriginView
from sharing.errors import NotPulledYet
from sharing.services import on_demand

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry
    from sharing.selectors import SeriesPlace, StudyPlace


class RetrieveView(OriginView):
    """A resource of one study: places it for the caller, or answers that there is none.

    What is not here is fetched from its hospital (``on_demand``): waited for, or 503 with a link to the progress.
    """

    lacking: Sequence[str] = ()  # of what the hospital lists, in sentences
    placed: StudyPlace | None = None  # the copy that answers

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = super().handle(request, *args, **kwargs)
        add_warnings(answer, self.root.url, self.lacking)
        if self.placed is not None and self.placed.shared and not self.institution_code:
            add_alternates(answer, self._alternates(self.placed))
        return answer

    def _alternates(self, place: StudyPlace) -> list[str]:
        """The same resource of the other institutions that hold it."""
        rest = escape_uri_path(self.request.path[len(reverse("dicomweb:root")) :])
        codes = selectors.other_copies(self.actor, place)
        return [f"{self.root.of_institution(code)}/{rest}" for code in codes]

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
            require_reader(self.request)
            place = on_demand.wait_for_series(
                actor=self.actor,
                place=self.study(),
                series_instance_uid=self.kwargs["series_uid"],
            )
        self.lacking, self.placed = shortfalls([place]), place.study
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
            require_reader(self.request)
            places, missing = on_demand.wait_for_study(actor=self.actor, place=study)
        else:
            places = selectors.list_series_places(study)
        self.lacking, self.placed = shortfalls(places, missing), study
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

    def instances(self, places: list[SeriesPlace]) -> HttpResponseBase:
        packs = OpenPacks()
        series = [held_series(place) for place in places]
        forms = [self._forms(packs, held) for held in series]
        etag = self._tag(series, forms)
        same = not_modified(self.request, etag) if etag else None
        if same is not None:
            return same
        parts: list[Part] = []
        for place, held, chosen in zip(places, series, forms, strict=True):
            base = f"{self.url_of(place)}/instances/"
            entries = zip(held.index.instances, chosen, strict=True)
            parts += [self._part(packs, held, entry, form, base) for entry, form in entries]
        # Before the answer starts: a missing object, or a damaged frame in its first instance, is an error and
        # not a cut-off stream.
        packs.require([held.index.pack_key for held in series])
        if parts and parts[0].size_bytes is None:
            parts[0] = replace(parts[0], chunks=begun(iter(parts[0].chunks)))
        trail.record_read(self.actor, places[0].study, purpose=trail.RETRIEVE)
        answer = ServedPayload(parts, media_type=DICOM, resources=packs).response()
        return revalidated(answer, etag) if etag else answer

    def _forms(self, packs: OpenPacks, held: Held) -> list[Form]:
        """The form of each instance; all of one series mostly share it."""
        known: dict[str, Form] = {}
        found = []
        for entry in held.index.instances:
            form = known.get(entry.transfer_syntax_uid)
            if form is None:
                form = instance_form(self.accepted, packs, held, entry, single=False)
                if form.as_stored:  # else it depends on the header too
                    known[entry.transfer_syntax_uid] = form
            found.append(form)
        return found

    def _tag(self, series: list[Held], forms: list[list[Form]]) -> str:
        """Weak: each answer has a boundary of its own. None for what is not whole."""
        if self.lacking:
            return ""
        syntaxes = {form.transfer_syntax_uid for chosen in forms for form in chosen}
        return weak_tag(self.root.url, *(held.prefix for held in series), *sorted(syntaxes))

    def _part(
        self, packs: OpenPacks, held: Held, entry: InstanceEntry, form: Form, base: str
    ) -> Part:
        location = base + entry.sop_instance_uid
        if form.as_stored:
            chunks = packs.instance(held.index, entry)
            return Part(form.content_type, chunks, entry.size, location)
        made = transcoded(packs, held, entry, form.transfer_syntax_uid)
        return Part(form.content_type, made, None, location)

    @property
    def takes_any_syntax(self) -> bool:
        """Whether instances may go out as they arrive, whatever syntax the next one has."""
        forms = instance_forms(self.accepted, "*", single=False)
        return any(form.as_stored for form in islice(forms, 1))

    def arriving(self, reading: on_demand.Reading, *more: SeriesPlace) -> HttpResponseBase:
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
                        uid = entry.transfer_syntax_uid
                        form = Form(DICOM, uid, multipart=True, as_stored=True)
                        yield self._part(packs, held, entry, form, base)
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
            if request.method == "HEAD":
                self.placed = study
                head = ServedPayload(iter(()), media_type=DICOM, resources=OpenPacks())
                return head.response()
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
            require_reader(request)
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
        packs = OpenPacks()
        form = instance_form(self.accepted, packs, held, entry, single=True)
        etag = self._tag_of(entry, form)
        same = not_modified(request, etag)
        if same is not None:
            return same
        pack = packs.pack(held.index.pack_key)
        if form.multipart:
            part = self._part(packs, held, entry, form, f"{self.url_of(place)}/instances/")
            if not form.as_stored:
                part = replace(part, chunks=begun(iter(part.chunks)))
            payload = ServedPayload([part], media_type=DICOM, resources=packs)
            answer: HttpResponseBase = revalidated(payload.response(), etag)
        elif form.as_stored:
            answer = single_part(
                request,
                content_type=form.content_type,
                size=entry.size,
                read=lambda offset, length: pack.stream(entry.offset + offset, length),
                etag=etag,
                owner=packs,
            )
        else:
            chunks = begun(transcoded(packs, held, entry, form.transfer_syntax_uid))
            made = StreamingHttpResponse(Owned(chunks, packs), content_type=form.content_type)
            answer = revalidated(made, etag)
        trail.record_read(self.actor, place.study, purpose=trail.RETRIEVE)
        return answer

    @staticmethod
    def _tag_of(entry: InstanceEntry, form: Form) -> str:
        if form.as_stored and not form.multipart:
            return f'"{entry.sha256[:32]}"'
        return f'W/"{entry.sha256[:32]}-{form.transfer_syntax_uid}"'
