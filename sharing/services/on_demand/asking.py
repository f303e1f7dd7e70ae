"""What the hospital lists of a study that is only in the index, and the order to fetch it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from common import audit
from common.dicomweb.errors import OriginError, OriginNotFound
from common.errors import DomainError, NotFound
from common.kept import Kept
from hospitals import selectors as hospitals
from hospitals import services as hospital_services
from sharing.errors import FetchFailed, HospitalAway, NotPulledYet
from sharing.models import Series, Study, Transfer
from sharing.services import discovery, transfers
from sharing.services.on_demand.fetches import Fetch, fetch
from sharing.services.on_demand.places import reader_place

if TYPE_CHECKING:
    from common.accounts.models import User
    from sharing.selectors import StudyPlace

LISTED_S = 30.0  # a hospital's list of instances is not asked for again within so many seconds
FAILED_S = 5.0  # nor is a hospital that has just failed at it
IN_ORDER = (F("series_number").asc(nulls_last=True), F("id").asc())

_instances: Kept[int, list[dict[str, Any]]] = Kept(entries=500, keep_s=LISTED_S)
_failed: Kept[int, NotPulledYet] = Kept(entries=500, keep_s=FAILED_S)
_listed: Kept[int, bool] = Kept(entries=5_000, keep_s=LISTED_S)
_locks: WeakValueDictionary[int, _Alone] = WeakValueDictionary()
_locks_lock = threading.Lock()


class _Alone:
    """A lock that goes away when nobody holds or awaits it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def known_series(study_id: int) -> list[Series]:
    """The series of a study, asked of its hospital the first time; in the order in which they are read.

    Raises:
        HospitalAway: it cannot be asked now.
        FetchFailed: it was asked and did not answer as it should.
        NotFound: it no longer has the study.
        TooManyReadersWait: as many as are allowed wait already.
    """
    found = _series(study_id)
    study = Study.objects.get(pk=study_id)
    if found and not _lists_more(study, found):
        return found
    with reader_place(), _alone(study_id):
        found = _series(study_id)  # another reader may have asked meanwhile
        if not found or _lists_more(study, found):
            try:
                _list_series(study)
            except DomainError:
                if not found:
                    raise
                # What is known already can be fetched; the study does not look whole by its counts.
            found = _series(study_id)
    return found


def start(*, actor: User, place: StudyPlace, series: list[Series]) -> Fetch | None:
    """Fetch what is missing of these series, in the on-demand lane; None when nothing is. Returns at once.

    Raises:
        HospitalAway: nothing may be asked of the hospital now.
        TooManyReadersWait: so many studies are being fetched here already.
    """
    missing = [each for each in series if not each.is_held]
    if not missing:
        return None
    require_reachable(place.institution_id)
    # Another reader may have waited for the same and have it: what came meanwhile is not asked for again.
    wanted = Series.objects.filter(pk__in=[each.pk for each in missing])
    ids = list(
        wanted.filter(current=None, newest_received=0)
        .order_by(*IN_ORDER)
        .values_list("pk", flat=True)
    )
    if not ids:
        return None
    new = transfers.request_transfers(
        series_ids=ids,
        institution_id=place.institution_id,
        lane=Transfer.Lane.ON_DEMAND,
        asked_by="reader",
    )
    if new:
        audit.record(
            actor,
            "study.fetch",
            object_type="sharing.study",
            object_id=place.study_id,
            institution_id=place.institution_id,
            study_instance_uid=place.study_instance_uid,
            basis=place.basis,
            purpose="on-demand",
            detail={"series": new},
        )
    return fetch(study_id=place.study_id, institution_id=place.institution_id, series_ids=ids)


def start_study(*, actor: User, place: StudyPlace) -> None:
    """Fetch all that is missing of a study, for somebody who looks at the progress; returns when it is queued.

    Raises:
        HospitalAway, FetchFailed, NotFound, TooManyReadersWait: as ``known_series`` and ``start``.
    """
    start(actor=actor, place=place, series=known_series(place.study_id))


def require_reachable(institution_id: int) -> None:
    """Whether the hospital may be asked at all at this moment.

    Raises:
        HospitalAway: it has no endpoint, is not active, or is left alone after failures.
    """
    try:
        policy = hospitals.pull_policy(institution_id=institution_id)
    except DomainError as error:
        raise HospitalAway(f"{HospitalAway().message} ({error.message})", final=True) from error
    now = timezone.now()
    if policy.state != "active":
        raise HospitalAway(final=True, retry_after_s=3600)
    if policy.circuit_open(now):
        raise HospitalAway(retry_after_s=transfers.left_alone_s(policy, now))


def list_instances(*, place: StudyPlace, series: Series) -> list[dict[str, Any]]:
    """What the hospital lists of a series that is not here, as it answers; kept for some seconds.

    Raises:
        HospitalAway, FetchFailed, NotFound: as ``known_series``.
    """
    found = _instances.get(series.pk)
    if found is None:
        with reader_place(), _alone(place.study_id):
            found = _instances.get(series.pk)
            if found is None:
                found = _ask_for_instances(place, series)
                _instances.put(series.pk, found)
    return found


def _ask_for_instances(place: StudyPlace, series: Series) -> list[dict[str, Any]]:
    require_reachable(place.institution_id)
    try:
        with hospital_services.open_origin(
            institution_id=place.institution_id, within_s=settings.ON_DEMAND_WAIT_S
        ) as origin:
            return origin.search_instances(
                study_instance_uid=place.study_instance_uid,
                series_instance_uid=series.series_instance_uid,
            )
    except OriginNotFound as error:
        raise NotFound("There is no such series.") from error
    except OriginError as error:
        hospital_services.record_origin_failure(institution_id=place.institution_id, error=error)
        raise _for_reader(error) from error


def _list_series(study: Study) -> None:
    if (before := _failed.get(study.pk)) is not None:
        raise before.again()
    require_reachable(study.institution_id)
    try:
        count = discovery.list_series(study=study, within_s=settings.ON_DEMAND_WAIT_S)
        _listed.put(study.pk, True)
        if not count and not study.series.exists():
            raise NotFound("The hospital lists no series of this study.")
    except OriginNotFound as error:
        raise NotFound("The hospital no longer holds this study.") from error
    except OriginError as error:
        told = _for_reader(error)
        _failed.put(study.pk, told)
        raise told from error


def _for_reader(error: OriginError) -> HospitalAway | FetchFailed:
    retry_after_s = getattr(error, "retry_after_s", None)
    if error.code in {"origin-unreachable", "origin-timeout", "origin-busy", "origin-failed"}:
        text = f"{HospitalAway().message} ({error.message})"
        return HospitalAway(text, retry_after_s=retry_after_s or 30)
    return FetchFailed(f"{FetchFailed().message} ({error.message})", cause=error.code)


def _series(study_id: int) -> list[Series]:
    return list(
        Series.objects.filter(study_id=study_id).select_related("current").order_by(*IN_ORDER)
    )


def _lists_more(study: Study, found: list[Series]) -> bool:
    """The hospital's count for the study is larger than that of its known series together.

    Only while nothing of it is here: afterwards the discovery compares.
    """
    if study.listed_instances is None or any(each.is_held for each in found):
        return False
    if _listed.get(study.pk):
        return False
    counts = [each.listed_instances for each in found]
    known = sum(each for each in counts if each is not None)
    return None not in counts and known < study.listed_instances


def _alone(study_id: int) -> _Alone:
    with _locks_lock:
        found = _locks.get(study_id)
        if found is None:
            found = _locks[study_id] = _Alone()
        return found
