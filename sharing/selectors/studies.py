"""Studies and series that one account may see.

The same Study Instance UID may stand in several institutions. Where no institution is named, the
*primary* copy answers: the one archived first among those that the actor may see and that hold pictures.
With it go the *derived* series that only another visible copy holds: what a reader measured and marked on
another hospital's study lies in the reader's own institution and comes back with that study.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.db.models import (
    Case,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    SmallIntegerField,
    Value,
    When,
)
from django.db.models.expressions import OrderBy

from common.errors import NotFound
from common.kept import Kept
from sharing.errors import NotPulledYet
from sharing.models import Series, Study
from sharing.permissions import Basis, decide, sight_of, viewer_key, visible
from sharing.selectors.gathering import prefix_of

if TYPE_CHECKING:
    from common.accounts.models import User
    from sharing.permissions import SlipHolder

    Viewer = User | SlipHolder

# Where a series is served from: so old at most, as the access decision behind it.
_KEEP_S = 3.0
_places: Kept[tuple[Any, ...], Any] = Kept(entries=20_000, keep_s=_KEEP_S)
_copies: Kept[tuple[Any, ...], list[str]] = Kept(entries=5_000, keep_s=_KEEP_S)
# Objects that say something about pictures and are none (PS3.3 C.7.3.1.1.1): their home may be another hospital's.
DERIVED_MODALITIES = ("KO", "PR", "RTSTRUCT", "SEG", "SR")


@dataclass(frozen=True)
class StudyPlace:
    """One visible copy of a study: where it is, whose it is, and why it may be seen."""

    study_id: int
    study_instance_uid: str
    institution_id: int
    institution_code: str
    basis: Basis
    state: str
    shared: bool = False  # whether another institution may hold the same study
    person_id: int | None = None


@dataclass(frozen=True)
class SeriesPlace:
    """One archived series of a visible study; ``prefix`` leads to its current revision."""

    study: StudyPlace
    series_id: int
    series_instance_uid: str
    prefix: str
    instance_count: int
    size_bytes: int
    state: str = ""
    missing_count: int = 0  # instances that the hospital lists and that are not here


def visible_studies(actor: Viewer, *, institution_code: str = "") -> QuerySet[Study]:
    """Studies that ``actor`` may see: all of them, or those of one institution."""
    studies = Study.objects.filter(visible(sight_of(actor)))
    return studies.filter(institution__code=institution_code) if institution_code else studies


def visible_series(actor: Viewer, *, institution_code: str = "") -> QuerySet[Series]:
    """Series of the studies that ``actor`` may see."""
    series = Series.objects.filter(visible(sight_of(actor), "study__"))
    return series.filter(study__institution__code=institution_code) if institution_code else series


def primary_order(prefix: str = "") -> tuple[OrderBy, OrderBy, OrderBy]:
    """Order that puts the primary copy first: pictures before notes on them, then archived earliest, found earliest."""
    return (
        holds_only_derived(prefix).asc(),
        F(f"{prefix}archived_at").asc(nulls_last=True),
        F(f"{prefix}id").asc(),
    )


def holds_only_derived(prefix: str = "") -> Case:
    """1 for a copy in which only derived objects lie, else 0; nothing known yet counts as pictures."""
    derived = Q(**{f"{prefix}modalities__contained_by": list(DERIVED_MODALITIES)})
    return Case(
        When(derived & ~Q(**{f"{prefix}modalities": []}), then=Value(1)),
        default=Value(0),
        output_field=SmallIntegerField(),
    )


def get_visible_study(
    *, actor: Viewer, study_instance_uid: str, institution_code: str = ""
) -> Study:
    """The primary visible copy of a study, with its institution.

    Raises:
        NotFound: there is none, or ``actor`` may not see it.
    """
    study = (
        visible_studies(actor, institution_code=institution_code)
        .filter(study_instance_uid=study_instance_uid)
        .select_related("institution")
        .order_by(*primary_order())
        .first()
    )
    if study is None:
        raise NotFound("There is no such study.")
    return study


def get_visible_series(
    *, actor: Viewer, study_instance_uid: str, series_instance_uid: str, institution_code: str = ""
) -> Series:
    """One series of the primary visible copy, or a derived one of another, with its current revision and study.

    Raises:
        NotFound: there is none, or ``actor`` may not see it.
        NotPulledYet: the study is known from the hospital's list only.
    """
    study = get_visible_study(
        actor=actor, study_instance_uid=study_instance_uid, institution_code=institution_code
    )
    series = study.series.filter(series_instance_uid=series_instance_uid)
    found = series.select_related("current", "study__institution").first()
    if found is None and not institution_code:
        elsewhere = _derived_elsewhere(actor, study_instance_uid, but=study.pk)
        found = elsewhere.filter(series_instance_uid=series_instance_uid).first()
    if found is None:
        # Until the hospital was asked, nobody knows which series the study has.
        if study.state == Study.State.INDEXED:
            raise NotPulledYet
        raise NotFound("There is no such series.")
    return found


def place_study(
    *, actor: Viewer, study_instance_uid: str, institution_code: str = ""
) -> StudyPlace:
    """Where the primary visible copy is; at most some seconds old, so that frames do not ask again.

    Raises:
        NotFound: there is none, or ``actor`` may not see it.
    """
    key = ("study", viewer_key(actor), institution_code, study_instance_uid)
    place = _places.get(key)
    if place is None:
        study = get_visible_study(
            actor=actor, study_instance_uid=study_instance_uid, institution_code=institution_code
        )
        place = _place_of(actor, study)
        _places.put(key, place)
    return _still_visible(actor, place)


def place_series(
    *, actor: Viewer, study_instance_uid: str, series_instance_uid: str, institution_code: str = ""
) -> SeriesPlace:
    """Where one series is; at most some seconds old.

    Raises:
        NotFound: there is none, or ``actor`` may not see it.
        NotPulledYet: it is known from the hospital's list only.
    """
    key = ("series", viewer_key(actor), institution_code, study_instance_uid, series_instance_uid)
    place = _places.get(key)
    if place is None:
        series = get_visible_series(
            actor=actor,
            study_instance_uid=study_instance_uid,
            series_instance_uid=series_instance_uid,
            institution_code=institution_code,
        )
        place = _series_place(_place_of(actor, series.study), series)
        if not place.prefix:
            raise NotPulledYet
        if not series.newest_received:  # else the next instance may have come already
            _places.put(key, place)
    study = _still_visible(actor, place.study)
    return place if study is place.study else replace(place, study=study)


def list_series_places(place: StudyPlace) -> list[SeriesPlace]:
    """The archived series of a study that was placed, in a stable order."""
    series = (
        Series.objects.filter(
            Q(current__isnull=False) | Q(newest_received__gt=0), study_id=place.study_id
        )
        .select_related("current")
        .order_by(F("series_number").asc(nulls_last=True), "id")
    )
    return [_series_place(place, each) for each in series]


def list_derived_places(
    *, actor: Viewer, place: StudyPlace, institution_code: str = ""
) -> list[SeriesPlace]:
    """The derived series of the study that only other visible copies hold; none where one institution is asked.

    Looked up each time: a reader who has just saved a measurement loads the study again at once.
    """
    if institution_code:
        return []
    found = _derived_elsewhere(actor, place.study_instance_uid, but=place.study_id)
    return [_series_place(_place_of(actor, each.study), each) for each in found]


def series_of_study(
    *, actor: Viewer, place: StudyPlace, institution_code: str = ""
) -> QuerySet[Series]:
    """The series that a search within a study finds: its own, and the derived ones of other visible copies."""
    own = Q(study_id=place.study_id)
    if institution_code:
        return Series.objects.filter(own)
    elsewhere = _derived_elsewhere(actor, place.study_instance_uid, but=place.study_id)
    return Series.objects.filter(own | Q(pk__in=[each.pk for each in elsewhere]))


def _derived_elsewhere(actor: Viewer, study_instance_uid: str, *, but: int) -> QuerySet[Series]:
    """Held derived series of the visible copies of a study other than this one, each UID once."""
    copies = Series.objects.filter(
        visible(sight_of(actor), "study__"), study__study_instance_uid=study_instance_uid
    )
    same = copies.filter(series_instance_uid=OuterRef("series_instance_uid"))
    better = same.filter(Q(study_id=but) | Q(study_id__lt=OuterRef("study_id")))
    return (
        copies.exclude(study_id=but)
        .filter(~Exists(better), modality__in=DERIVED_MODALITIES)
        .filter(Q(current__isnull=False) | Q(newest_received__gt=0))
        .select_related("current", "study__institution")
        .order_by(F("series_number").asc(nulls_last=True), "id")
    )


def place_of_series(place: StudyPlace, series_id: int) -> SeriesPlace | None:
    """Where one series of a study that was placed is, as the row says now; none while it is not held."""
    series = Series.objects.select_related("current").filter(pk=series_id).first()
    return _series_place(place, series) if series is not None and series.is_held else None


def copies_of(actor: Viewer, study_instance_uids: Collection[str]) -> dict[str, list[str]]:
    """Codes of the institutions whose copy ``actor`` may see, by study; the primary one first."""
    rows = (
        visible_studies(actor)
        .filter(study_instance_uid__in=study_instance_uids)
        .order_by(*primary_order())
        .values_list("study_instance_uid", "institution__code")
    )
    copies: dict[str, list[str]] = {}
    for uid, code in rows:
        copies.setdefault(uid, []).append(code)
    return copies


def other_copies(actor: Viewer, place: StudyPlace) -> list[str]:
    """Codes of the other institutions whose copy ``actor`` may see; at most some seconds old."""
    if not place.shared:
        return []
    key = ("copies", viewer_key(actor), place.study_instance_uid)
    codes = _copies.get(key)
    if codes is None:
        codes = copies_of(actor, [place.study_instance_uid]).get(place.study_instance_uid, [])
        _copies.put(key, codes)
    return [code for code in codes if code != place.institution_code]


def forget_series(
    *, actor: Viewer, study_instance_uid: str, series_instance_uid: str, institution_code: str = ""
) -> bool:
    """Look again for one series; False when nothing was kept, so that looking again finds the same."""
    key = ("series", viewer_key(actor), institution_code, study_instance_uid, series_instance_uid)
    return _places.drop(key)


def forget_places() -> None:
    """Look again at the next request, in this process."""
    _places.clear()
    _copies.clear()


def _place_of(actor: Viewer, study: Study) -> StudyPlace:
    basis = decide(actor, study).basis
    if basis is None:
        raise NotFound("There is no such study.")
    return StudyPlace(
        study_id=study.pk,
        study_instance_uid=study.study_instance_uid,
        institution_id=study.institution_id,
        institution_code=study.institution.code,
        basis=basis,
        state=study.state,
        shared=study.shared,
        person_id=study.person_id,
    )


def _series_place(study: StudyPlace, series: Series) -> SeriesPlace:
    current = series.current
    return SeriesPlace(
        study=study,
        series_id=series.pk,
        series_instance_uid=series.series_instance_uid,
        prefix=prefix_of(series),
        instance_count=series.instance_count if series.is_held else 0,
        size_bytes=current.size_bytes if current else series.size_bytes,
        state=series.state,
        missing_count=max(0, (series.listed_instances or 0) - series.instance_count),
    )


def _still_visible(actor: Viewer, place: StudyPlace) -> StudyPlace:
    # Two caches must not add up their ages: the right is asked of the younger one each time.
    basis = sight_of(actor).basis_of(
        study_id=place.study_id, institution_id=place.institution_id, person_id=place.person_id
    )
    if basis is None:
        raise NotFound("There is no such study.")
    return place if basis is place.basis else replace(place, basis=basis)
