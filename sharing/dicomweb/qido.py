"""Search Transaction (QIDO-RS, PS3.18 §10.6, 2024e)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from common.dicom.xml_model import native_xml
from common.dicomweb.media_types import Representation
from common.dicomweb.multipart import MultipartPayload, Part
from common.problem import dicomweb_error
from sharing import selectors
from sharing.dicomweb import instances, trail
from sharing.dicomweb.columns import FoundSeries, FoundStudy
from sharing.dicomweb.keys import PATIENT_ID, SERIES_KEYS, STUDY_KEYS
from sharing.dicomweb.on_demand import add_coverage, is_index_only, require_reader
from sharing.dicomweb.origin import JSON_OFFERS, OriginView, Root
from sharing.dicomweb.query import (
    MAX_RESULTS,
    MORE_RESULTS,
    Search,
    SearchTooBroad,
    parse_search,
)
from sharing.dicomweb.rows import Attributes, series_row, study_row
from sharing.dicomweb.searching import (
    UNBOUNDED,
    holders,
    search_series,
    search_studies,
)
from sharing.dicomweb.sight_sql import Within
from sharing.domain.identities import PERSON_KEY
from sharing.domain.question import Question
from sharing.errors import QuestionUnbounded
from sharing.permissions import sight_of
from sharing.selectors import codes, persons
from sharing.services import federated, on_demand

if TYPE_CHECKING:
    from sharing.domain.coverage import Coverage
    from sharing.models import Series
    from sharing.selectors import SeriesPlace, StudyPlace

_XML = "application/dicom+xml"
_OFFERS = (*JSON_OFFERS, Representation(_XML, multipart=True))
_REFUSAL = (
    f'Search results are given as application/dicom+json, or multipart/related; type="{_XML}".'
)
_LEVELS = STUDY_KEYS | SERIES_KEYS
# At the common root the header's own number would be taken for the province's.
_PATIENT_TAGS = ("00100020", "00100021", "00101002")


class SearchView(OriginView):
    """Answers JSON, an empty array when nothing matches, or XML, where that is 204: a multipart payload has a part.
    Says in ``Warning`` what it left out.
    """

    level = ""

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().handle(request, *args, **kwargs)
        except SearchTooBroad as refusal:
            return dicomweb_error(request, 413, refusal.message, code=refusal.code)

    @property
    def within(self) -> Within:
        """What is searched."""
        return Within.of(sight_of(self.actor), self.institution_code)

    def answer(self, rows: Sequence[Attributes], search: Search) -> HttpResponse:
        chosen = self.negotiate(_OFFERS, refusal=_REFUSAL)
        if chosen.media_type == _XML:
            response = _xml(rows)
        else:
            response = HttpResponse(orjson.dumps(rows), content_type=chosen.media_type)
        response["Cache-Control"] = "private, no-cache"
        response["Vary"] = "Accept, Cookie, Authorization"
        if search.federated and self.level != "study":
            search.ignore("federated")
        if search.warnings:
            response["Warning"] = ", ".join(_warning(self.root, each) for each in search.warnings)
        trail.record_search(
            self.actor,
            level=self.level,
            institution_code=self.institution_code,
            by=search.keys.keys(),
        )
        return response


class SearchStudiesView(SearchView):
    """``/studies``."""

    level = "study"

    def get(self, request: HttpRequest, **_: str) -> HttpResponse:
        search = parse_search(request.GET, matchable=STUDY_KEYS.__contains__)
        within, root = self.within, self.root
        coverage = self._ask_hospitals(search) if search.federated else None
        page, more = search_studies(search, within)
        _say(search, more)
        held = _holders_of(page, within)
        rows = [
            study_row(
                study, root=root, search=search, holders=held.get(study.study_instance_uid, ())
            )
            for study in page
        ]
        answer = self.answer(rows, search)
        if coverage is not None:
            add_coverage(answer, root.url, coverage)
        return answer

    def _ask_hospitals(self, search: Search) -> Coverage:
        """What they have and the index did not comes into it; the search then answers as always."""
        question = Question(
            self._as_hospitals_know_it(search),
            fuzzy=search.fuzzy is True,
            namespaced=not self.institution_code,
        )
        try:
            return federated.ask(
                actor=self.actor, question=question, institution_code=self.institution_code
            )
        except QuestionUnbounded as refusal:
            raise SearchTooBroad(refusal.message) from refusal

    def _as_hospitals_know_it(self, search: Search) -> dict[str, str]:
        """The keys with the numbers of the hospitals in the place of a person's key, which none of them knows."""
        keys = dict(search.keys)
        if not self.institution_code and PERSON_KEY.fullmatch(keys.get(PATIENT_ID, "").strip()):
            numbers = persons.local_numbers(actor=self.actor, key=keys[PATIENT_ID].strip())
            keys[PATIENT_ID] = "\\".join(numbers) or keys[PATIENT_ID]
        return keys


class SearchSeriesView(SearchView):
    """``/series`` and ``/studies/{study}/series``."""

    level = "series"

    def get(self, request: HttpRequest, *, study_uid: str = "", **_: str) -> HttpResponse:
        search = parse_search(request.GET, matchable=_LEVELS.__contains__)
        ids: list[int] = []
        also: list[int] = []
        if study_uid:
            place = self._place(study_uid)
            ids = [place.study_id]
            also = [each.series_id for each in self._derived(place)]
            if is_index_only(place):
                require_reader(request)
                on_demand.known_series(place.study_id)  # asked of the hospital the first time
        page, more = search_series(search, self.within, study_ids=ids, also=also)
        _say(search, more)
        found = _addressed(page, self.within, self.root, search, within_study=bool(study_uid))
        rows = [each.series if study_uid else each.study | each.series for each in found]
        return self.answer([dict(sorted(row.items())) for row in rows], search)

    def _place(self, study_uid: str) -> StudyPlace:
        return selectors.place_study(
            actor=self.actor, study_instance_uid=study_uid, institution_code=self.institution_code
        )

    def _derived(self, study: StudyPlace) -> list[SeriesPlace]:
        """What readers of other institutions measured and marked on it, as far as the actor may see that."""
        return selectors.list_derived_places(
            actor=self.actor, place=study, institution_code=self.institution_code
        )


class SearchInstancesView(SearchSeriesView):
    """``/instances``, ``/studies/{study}/instances`` and ``/studies/{study}/series/{series}/instances``."""

    level = "instance"

    def get(
        self, request: HttpRequest, *, study_uid: str = "", series_uid: str = "", **_: str
    ) -> HttpResponse:
        search = parse_search(request.GET, matchable=instances.matchable)
        study = self._place(study_uid) if study_uid else None
        sources = self._of_study(search, study, series_uid) if study else self._anywhere(search)
        return self.answer(instances.search_instances(sources, search), search)

    def _of_study(
        self, search: Search, study: StudyPlace, series_uid: str
    ) -> Iterator[instances.Source]:
        """The series of a study that is known, or one of them; those that are not here as their hospital lists them."""
        elsewhere = self._elsewhere(study, series_uid)
        if series_uid:
            here = series_uid not in elsewhere
            places = [self._place_series(study.study_instance_uid, series_uid)] if here else []
        else:
            places = selectors.list_series_places(study) + self._derived(study)
        upper = instances.upper(search, limit=MAX_RESULTS)
        also = [each.series_id for each in places if each.study.study_id != study.study_id]
        page, _ = search_series(upper, self.within, study_ids=[study.study_id], also=also)
        found = _addressed(page, self.within, self.root, search, within_study=True)
        by_id = {each.found.id: each for each in found}
        for place in places:
            if each := by_id.get(place.series_id):
                described = {} if series_uid else each.series
                yield instances.Source(
                    partial(_itself, place), place.instance_count, each.url,
                    _patient_of(each.study, self.root, search) | described,
                )  # fmt: skip
        for series in elsewhere.values():
            if each := by_id.get(series.pk):
                listed = partial(on_demand.list_instances, place=study, series=series)
                described = {} if series_uid else each.series
                yield instances.Source(None, 0, each.url, described, listed)

    def _elsewhere(self, study: StudyPlace, series_uid: str) -> dict[str, Series]:
        """The series, or this one, of which nothing is here; of an unknown study its hospital is asked."""
        if not on_demand.lacks_series(study.study_id):
            return {}
        require_reader(self.request)
        return {
            each.series_instance_uid: each
            for each in on_demand.known_series(study.study_id)
            if not each.is_held and series_uid in ("", each.series_instance_uid)
        }

    def _anywhere(self, search: Search) -> Iterator[instances.Source]:
        page, more = search_series(
            instances.upper(search, limit=instances.MOST_SERIES), self.within
        )
        if more and instances.is_selective(search):
            raise SearchTooBroad(instances.TOO_MANY)
        here = [(study, series) for study, series in page if series.instance_count]
        if search.unbounded and (
            more or sum(each.instance_count for _, each in here) > MAX_RESULTS
        ):
            raise SearchTooBroad(UNBOUNDED.format(most=MAX_RESULTS))
        if len(here) < len(page):
            search.warnings.append(instances.NOT_HERE)
        for each in _addressed(here, self.within, self.root, search, within_study=False):
            place = partial(
                self._place_series, each.study_uid, each.found.series_instance_uid, each.code
            )
            yield instances.Source(
                place, each.found.instance_count, each.url, each.study | each.series
            )
        if more:
            raise SearchTooBroad(instances.TOO_MANY)

    def _place_series(self, study_uid: str, series_uid: str, code: str = "") -> SeriesPlace:
        return selectors.place_series(
            actor=self.actor,
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
            institution_code=code or self.institution_code,
        )


@dataclass(frozen=True)
class Addressed:
    """A series of a page with its address and the attributes of both levels."""

    found: FoundSeries
    study_uid: str
    code: str  # of its institution
    url: str
    study: Attributes
    series: Attributes


def _addressed(
    page: Sequence[tuple[FoundStudy, FoundSeries]],
    within: Within,
    root: Root,
    search: Search,
    *,
    within_study: bool,
) -> Iterator[Addressed]:
    """The copy that a study's address at the root leads to has its series there; others at their institution's."""
    studies = _holders_of([study for study, _ in page], within)
    shared = [
        series.series_instance_uid for study, series in page if study.study_instance_uid in studies
    ]
    copies = {} if within_study else holders(shared, within, of_series=True)
    for study, series in page:
        code = codes.entry(study.institution_id).code
        holding = studies.get(study.study_instance_uid, ())
        primary = within_study or not holding or holding[0] == study.institution_id
        base = f"{root.url if primary else root.of_institution(code)}/studies/{study.study_instance_uid}"
        yield Addressed(
            found=series,
            study_uid=study.study_instance_uid,
            code=code,
            url=f"{base}/series/{series.series_instance_uid}",
            study=study_row(study, root=root, search=search, holders=holding),
            series=series_row(
                series,
                study_uid=study.study_instance_uid,
                base=base,
                search=search,
                holders=copies.get(series.series_instance_uid, ()),
            ),
        )


def _holders_of(page: Iterable[FoundStudy], within: Within) -> dict[str, list[int]]:
    """Who holds the studies of a page that a second institution may hold; nobody is asked about the others."""
    if not within.several:
        return {}
    shared = [study.study_instance_uid for study in page if study.shared]
    return holders(shared, within, of_series=False)


def _patient_of(study: Attributes, root: Root, search: Search) -> Attributes:
    """The patient's number as the common root gives it, in the place of the hospital's own."""
    if root.institution_code or not any(map(search.wants, _PATIENT_TAGS)):
        return {}
    return {tag: study[tag] for tag in _PATIENT_TAGS if tag in study}


def _itself(place: SeriesPlace) -> SeriesPlace:
    return place


def _say(search: Search, more: bool) -> None:
    if more:
        search.warnings.append(MORE_RESULTS)


def _xml(rows: Sequence[Attributes]) -> HttpResponse:
    """A part for each result (PS3.18 §10.6.4, Native DICOM Model)."""
    if not rows:
        return HttpResponse(status=204, content_type=f'multipart/related; type="{_XML}"')
    parts = [Part(_XML, [data], len(data)) for data in map(native_xml, rows)]
    payload = MultipartPayload(parts, boundary=uuid4().hex)
    return HttpResponse(b"".join(payload), content_type=payload.content_type)


def _warning(root: Root, message: str) -> str:
    return f'299 {root.url} "{message}"'
