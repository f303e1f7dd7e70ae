"""Search Transaction (QIDO-RS, PS3.18 §10.6, 2024e)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from django.db.models import DateTimeField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse

from sharing import selectors
from sharing.dicomweb import instances, matching, patients, trail
from sharing.dicomweb.origin import JSON_OFFERS, JSON_ONLY, OriginView, Root
from sharing.dicomweb.query import MORE_RESULTS, Search, parse_search
from sharing.dicomweb.rows import Attributes, series_row, study_row
from sharing.permissions import sight_of

if TYPE_CHECKING:
    from sharing.models import Series, Study


STUDY_KEYS: dict[str, tuple[str, matching.Condition]] = {
    "00080020": ("study_date", matching.day_range),
    "00080030": ("study_time", matching.time_range),
    "00080050": ("accession_number", matching.text),
    "00080061": ("modalities", matching.modalities),
    "00080090": ("referring_physician_name", matching.person_name),
    "00081030": ("study_description", matching.text_any_case),
    "00100021": ("issuer_of_patient_id", matching.text),
    "00100030": ("patient_birth_date", matching.day_range),
    "00100040": ("patient_sex", matching.text),
    "0020000D": ("study_instance_uid", matching.uids),
    "00200010": ("dicom_study_id", matching.text),
}
# Matched with more than one column.
PATIENT_KEYS = frozenset({"00100010", "00100020"})
SERIES_KEYS: dict[str, tuple[str, matching.Condition]] = {
    "00080021": ("series_date", matching.day_range),
    "00080031": ("series_time", matching.time_range),
    "00080060": ("modality", matching.text),
    "0008103E": ("series_description", matching.text_any_case),
    "00180015": ("body_part_examined", matching.text_any_case),
    "0020000E": ("series_instance_uid", matching.uids),
    "00200011": ("series_number", matching.number),
}
_STUDY_MATCHABLE = frozenset(STUDY_KEYS) | PATIENT_KEYS
_SERIES_MATCHABLE = _STUDY_MATCHABLE | frozenset(SERIES_KEYS)


class SearchView(OriginView):
    """Answers a JSON array; an empty one when nothing matches. Says in ``Warning`` what it left out."""

    def answer(self, rows: Sequence[Attributes], search: Search) -> HttpResponse:
        chosen = self.negotiate(JSON_OFFERS, refusal=JSON_ONLY)
        response = HttpResponse(orjson.dumps(rows), content_type=chosen.media_type)
        response["Cache-Control"] = "private, no-cache"
        response["Vary"] = "Accept, Cookie, Authorization"
        if search.warnings:
            response["Warning"] = ", ".join(_warning(self.root, each) for each in search.warnings)
        return response


class SearchStudiesView(SearchView):
    """``/studies``."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponse:
        search = parse_search(request.GET, matchable=_STUDY_MATCHABLE)
        visible = selectors.visible_studies(self.actor, institution_code=self.institution_code)
        matched = visible.filter(_study_condition(search, self))
        page = _page(_one_per_uid(matched, self).select_related("institution"), search)
        copies = (
            {}
            if self.institution_code
            else selectors.copies_of(self.actor, [study.study_instance_uid for study in page])
        )
        root = self.root
        rows = [
            study_row(study, root=root, copies=copies.get(study.study_instance_uid, ()))
            for study in page
        ]
        trail.record_search(self.actor, level="study", institution_code=self.institution_code)
        return self.answer(rows, search)


class SearchSeriesView(SearchView):
    """``/series`` and ``/studies/{study}/series``."""

    def get(self, request: HttpRequest, *, study_uid: str = "", **_: str) -> HttpResponse:
        search = parse_search(request.GET, matchable=_SERIES_MATCHABLE)
        found = selectors.visible_series(self.actor, institution_code=self.institution_code)
        if study_uid:
            place = selectors.place_study(
                actor=self.actor,
                study_instance_uid=study_uid,
                institution_code=self.institution_code,
            )
            found = found.filter(study_id=place.study_id).order_by(*_WITHIN_STUDY)
        else:
            found = found.order_by(*_OVER_STUDIES)
        condition = matching.combine(search.keys, SERIES_KEYS)
        condition &= _study_condition(search, self, prefix="study__")
        page = _page(found.filter(condition).select_related("study__institution"), search)
        trail.record_search(self.actor, level="series", institution_code=self.institution_code)
        return self.answer([self._row(each, within=bool(study_uid)) for each in page], search)

    def _row(self, series: Series, *, within: bool) -> Attributes:
        root, study = self.root, series.study
        if within:
            return series_row(series, base=f"{root.url}/studies/{study.study_instance_uid}")
        base = f"{root.of_institution(study.institution.code)}/studies/{study.study_instance_uid}"
        return study_row(study, root=root) | series_row(series, base=base)


class SearchInstancesView(SearchView):
    """``/studies/{study}/instances`` and ``/studies/{study}/series/{series}/instances``."""

    def get(
        self, request: HttpRequest, *, study_uid: str, series_uid: str = "", **_: str
    ) -> HttpResponse:
        search = parse_search(request.GET, matchable=instances.MATCHABLE)
        place = selectors.place_study(
            actor=self.actor, study_instance_uid=study_uid, institution_code=self.institution_code
        )
        if series_uid:
            places = [
                selectors.place_series(
                    actor=self.actor,
                    study_instance_uid=study_uid,
                    series_instance_uid=series_uid,
                    institution_code=self.institution_code,
                )
            ]
        else:
            places = selectors.list_series_places(place)
        rows = instances.search_instances(places, search, root=self.root)
        trail.record_search(self.actor, level="instance", institution_code=self.institution_code)
        return self.answer(rows, search)


_WITHIN_STUDY: tuple[Any, ...] = (F("series_number").asc(nulls_last=True), F("id").asc())
_OVER_STUDIES: tuple[Any, ...] = (
    F("study__study_date").desc(nulls_last=True),
    F("study_id").desc(),
    *_WITHIN_STUDY,
)
_NEVER = Value(datetime(9999, 1, 1, tzinfo=UTC), output_field=DateTimeField())
_NEWEST = (F("study_date").desc(nulls_last=True), F("id").desc())


def _study_condition(search: Search, view: OriginView, *, prefix: str = "") -> Q:
    condition = matching.combine(search.keys, STUDY_KEYS, prefix=prefix)
    if name := search.keys.get("00100010"):
        condition &= matching.patient_name(name, prefix=prefix)
    if number := search.keys.get("00100020"):
        condition &= patients.patient_id(
            number, prefix=prefix, namespaced=not view.institution_code
        )
    return condition


def _one_per_uid(matched: QuerySet[Study], view: OriginView) -> QuerySet[Study]:
    """Of the matching copies of one study, the primary; newest studies first, in a total order."""
    if not view.institution_code and len(sight_of(view.actor).institution_ids) > 1:
        outer = Coalesce(OuterRef("archived_at"), _NEVER)
        better = (
            matched.filter(study_instance_uid=OuterRef("study_instance_uid"))
            .alias(since=Coalesce(F("archived_at"), _NEVER))
            .filter(Q(since__lt=outer) | Q(since=outer, id__lt=OuterRef("id")))
        )
        matched = matched.filter(~Exists(better))
    return matched.order_by(*_NEWEST)


def _page(found: QuerySet[Any], search: Search) -> list[Any]:
    """One page; a row more is read to know whether there are others."""
    size = search.page_size
    rows = list(found[search.offset : search.offset + size + 1])
    if len(rows) > size:
        search.warnings.append(MORE_RESULTS)
    return rows[:size]


def _warning(root: Root, message: str) -> str:
    return f'299 {root.url} "{message}"'
