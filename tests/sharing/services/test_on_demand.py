"""A study that is only in the index, read while it is fetched."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from common.errors import NotFound
from hospitals.models import Endpoint
from sharing import selectors
from sharing.errors import (
    FetchFailed,
    FetchNotBegun,
    HospitalAtCap,
    HospitalAway,
    ReadBrokenOff,
    TooManyReadersWait,
)
from sharing.models import Series, SeriesRevision, Study, Transfer
from sharing.services import on_demand, planning, pulling, transfers
from sharing.services.on_demand.reading import Arriving
from tests.support.archive import make_user
from tests.support.pulling import (
    STUDY,
    Hospital,
    archived,
    discover,
    held,
    index_of,
    instance,
    run_due,
    settle,
)

pytestmark = pytest.mark.django_db(transaction=True)
A, B = f"{STUDY}.1", f"{STUDY}.2"


@pytest.fixture(autouse=True)
def quick(settings: Any) -> Iterator[None]:
    settings.ON_DEMAND_WAIT_S = 15
    yield
    settle()


@pytest.fixture
def reader(hospital: Hospital) -> Any:
    return make_user("reader", "radiologist", hospital.institution)


@pytest.fixture
def indexed(hospital: Hospital) -> Hospital:
    """Two series of three and two instances, known from the hospital's list of studies alone."""
    for series, count in ((A, 3), (B, 2)):
        for number in range(1, count + 1):
            hospital.origin.add(
                instance(number, series=series, SeriesNumber=1 if series == A else 2)
            )
    discover(hospital.id, index_only=True)
    hospital.origin.requests.clear()
    return hospital


def place(reader: Any) -> selectors.StudyPlace:
    selectors.forget_places()
    return selectors.place_study(actor=reader, study_instance_uid=STUDY)


def read(reading: on_demand.Reading) -> dict[str, str]:
    """SHA-256 by SOP Instance UID of what a reader got, each once, on its way or from the archive."""
    found: dict[str, str] = {}
    try:
        for piece in reading:
            if isinstance(piece, Arriving):
                data = b"".join(piece.chunks())
                new = {piece.entry.sop_instance_uid: hashlib.sha256(data).hexdigest()}
            else:
                index = index_of(SeriesRevision.objects.get(prefix=piece.place.prefix))
                new = {each.sop_instance_uid: each.sha256 for each in index.instances}
                new = {sop: sha256 for sop, sha256 in new.items() if sop not in piece.without}
            assert not new.keys() & found.keys()
            found |= new
    finally:
        reading.close()
    return found


def retrieved(hospital: Hospital) -> list[str]:
    return [path for path, _ in hospital.origin.requests if not path.endswith(("ies", "instances"))]


def test_the_series_are_asked_of_the_hospital_once_and_nothing_is_pulled(indexed, reader):
    first = on_demand.known_series(place(reader).study_id)
    again = on_demand.known_series(place(reader).study_id)

    assert [each.series_instance_uid for each in first] == [A, B]
    assert [each.pk for each in again] == [each.pk for each in first]
    assert [path for path, _ in indexed.origin.requests] == [
        f"/studies/{STUDY}/series"
    ] * 2  # pages
    assert not Transfer.objects.exists()


def test_readers_that_come_at_once_ask_for_the_series_once(indexed, reader):
    study_id = place(reader).study_id

    def ask() -> None:
        on_demand.known_series(study_id)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    offsets = [query.get("offset") for path, query in indexed.origin.requests]
    assert offsets.count("0") + offsets.count(None) == 1


def test_a_study_is_read_byte_for_byte_while_it_arrives_and_is_archived_by_it(indexed, reader):
    reading = on_demand.open_study(actor=reader, place=place(reader))

    got = read(reading)
    settle()

    assert got == held(indexed.origin)
    assert archived() == held(indexed.origin)
    assert Study.objects.get().state == Study.State.ARCHIVED
    assert set(Transfer.objects.values_list("lane", flat=True)) == {Transfer.Lane.ON_DEMAND}
    assert on_demand.open_study(actor=reader, place=place(reader)) is None


def test_the_first_instance_is_given_before_the_last_has_come(indexed, reader):
    manners = indexed.origin.manners
    manners.retrieve, manners.at_part = "stall", 2
    reading = on_demand.open_study(actor=reader, place=place(reader))

    pieces = iter(reading)
    first, second = next(pieces), next(pieces)

    assert [first.entry.instance_number, second.entry.instance_number] == [1, 2]
    assert not Series.objects.filter(current__isnull=False).exists()
    reading.close()
    indexed.origin.released.set()


def test_the_first_image_does_not_wait_for_the_list_of_instances(indexed, reader):
    reading = on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=A)

    assert read(reading) == held(indexed.origin, *(f"{A}.{number}" for number in (1, 2, 3)))
    settle()
    asked = [path for path, _ in indexed.origin.requests]
    address = f"/studies/{STUDY}/series/{A}"
    assert asked.index(address) < asked.index(f"{address}/instances")
    assert Series.objects.get(series_instance_uid=A).compared_by == "uids"


def test_a_list_of_instances_that_fails_leaves_what_came_compared_with_the_count(indexed, reader):
    on_demand.known_series(place(reader).study_id)
    indexed.origin.manners.status, indexed.origin.manners.only = 500, "search"

    reading = on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=A)

    assert len(read(reading)) == 3
    assert Series.objects.get(series_instance_uid=A).compared_by == "count"


def test_a_hospital_that_fails_in_the_middle_breaks_the_reading_off(indexed, reader):
    manners = indexed.origin.manners
    manners.retrieve, manners.at_part = "stall", 1
    reading = on_demand.open_study(actor=reader, place=place(reader))

    with pytest.raises(ReadBrokenOff):
        read(reading)
    settle()

    assert Study.objects.get().state != Study.State.ARCHIVED


def test_the_pull_goes_on_to_its_end_when_the_reader_leaves(indexed, reader):
    reading = on_demand.open_study(actor=reader, place=place(reader))
    next(iter(reading))
    reading.close()

    settle()

    assert archived() == held(indexed.origin)


def test_many_readers_of_one_study_cause_one_pull(indexed, reader):
    indexed.origin.manners.trickle_s = 0
    results: list[dict[str, str]] = []

    def one() -> None:
        reading = on_demand.open_study(actor=reader, place=place(reader))
        if reading is not None:
            results.append(read(reading))
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle()

    assert results
    assert all(got == held(indexed.origin) for got in results)
    assert sorted(retrieved(indexed)) == [f"/studies/{STUDY}/series/{uid}" for uid in (A, B)]


def test_only_the_missing_series_are_fetched_and_the_others_come_from_the_archive(indexed, reader):
    on_demand.known_series(place(reader).study_id)
    series = Series.objects.get(series_instance_uid=A)
    transfers.request_transfers(
        series_ids=[series.pk], institution_id=indexed.id, lane=Transfer.Lane.BACKFILL
    )
    run_due(indexed.id)
    indexed.origin.requests.clear()

    got = read(on_demand.open_study(actor=reader, place=place(reader)))

    assert got == held(indexed.origin)
    assert retrieved(indexed) == [f"/studies/{STUDY}/series/{B}"]


def test_one_series_is_fetched_without_the_others(indexed, reader):
    reading = on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=B)

    assert read(reading) == held(indexed.origin, f"{B}.1", f"{B}.2")
    settle()
    assert retrieved(indexed) == [f"/studies/{STUDY}/series/{B}"]
    assert Study.objects.get().state != Study.State.ARCHIVED


def test_a_series_that_the_hospital_does_not_list_is_not_found(indexed, reader):
    with pytest.raises(NotFound):
        on_demand.open_series(actor=reader, place=place(reader), series_instance_uid="1.2.99")


def test_a_hospital_that_is_away_is_said_and_left_alone_for_a_moment(indexed, reader):
    indexed.origin.manners.status = 503
    indexed.origin.manners.retry_after = "44"

    with pytest.raises(HospitalAway) as refused:
        on_demand.open_study(actor=reader, place=place(reader))
    with pytest.raises(HospitalAway):
        on_demand.open_study(actor=reader, place=place(reader))

    assert refused.value.retry_after_s == 44
    assert len(indexed.origin.requests) == 1


def test_nothing_is_asked_while_the_circuit_is_open(indexed, reader):
    Endpoint.objects.update(open_until=timezone.now() + timedelta(seconds=90))

    with pytest.raises(HospitalAway) as refused:
        on_demand.open_study(actor=reader, place=place(reader))

    assert 80 <= refused.value.retry_after_s <= 90
    assert indexed.origin.requests == []


def test_the_hospitals_cap_holds_for_readers_too(indexed, reader, settings):
    settings.ON_DEMAND_WAIT_S = 1
    Endpoint.objects.update(concurrency=1)
    series = on_demand.known_series(place(reader).study_id)
    transfers.request_transfers(
        series_ids=[series[1].pk], institution_id=indexed.id, lane=Transfer.Lane.BACKFILL
    )
    other = Transfer.objects.get()
    assert transfers.claim(transfer_id=other.pk, worker="busy") is not None

    with pytest.raises(HospitalAtCap):
        on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=A)

    assert Transfer.objects.get(series=series[0]).state == Transfer.State.WAITING
    Transfer.objects.filter(pk=other.pk).update(state="done", lease_until=None)


def test_a_hospital_that_does_not_begin_in_time_is_waited_for_no_longer(indexed, reader, settings):
    settings.ON_DEMAND_WAIT_S = 1
    Endpoint.objects.update(read_timeout_s=30)
    on_demand.known_series(place(reader).study_id)
    indexed.origin.manners.retrieve = "stall"
    begun = time.monotonic()

    with pytest.raises(FetchNotBegun):
        on_demand.open_study(actor=reader, place=place(reader))

    assert time.monotonic() - begun < 5
    indexed.origin.released.set()


def test_as_many_readers_wait_as_are_allowed_and_the_next_is_told_so(indexed, reader, settings):
    settings.ON_DEMAND_READERS = 1
    indexed.origin.manners.retrieve, indexed.origin.manners.at_part = "stall", 1
    first = on_demand.open_study(actor=reader, place=place(reader))

    with pytest.raises(TooManyReadersWait):
        on_demand.open_study(actor=reader, place=place(reader))
    first.close()
    second = on_demand.open_study(actor=reader, place=place(reader))

    second.close()
    indexed.origin.released.set()


def test_a_series_that_a_worker_has_already_is_waited_for_and_read_from_the_archive(
    indexed, reader
):
    on_demand.known_series(place(reader).study_id)
    series = Series.objects.get(series_instance_uid=B)
    transfers.request_transfers(
        series_ids=[series.pk], institution_id=indexed.id, lane=Transfer.Lane.BACKFILL
    )
    claim = transfers.claim(transfer_id=Transfer.objects.get().pk, worker="celery")

    def work() -> None:
        time.sleep(0.5)
        pulling.run_claimed(claim)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    got = read(on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=B))
    worker.join()

    assert got == held(indexed.origin, f"{B}.1", f"{B}.2")
    assert retrieved(indexed) == [f"/studies/{STUDY}/series/{B}"]


def test_what_a_killed_web_process_held_is_taken_over_when_its_lease_ends(indexed, reader):
    on_demand.known_series(place(reader).study_id)
    series = Series.objects.get(series_instance_uid=B)
    transfers.request_transfers(
        series_ids=[series.pk], institution_id=indexed.id, lane=Transfer.Lane.ON_DEMAND
    )
    lost = transfers.claim(transfer_id=Transfer.objects.get().pk, worker="killed")
    Transfer.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    got = read(on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=B))
    settle()

    assert got == held(indexed.origin, f"{B}.1", f"{B}.2")
    assert Transfer.objects.get().generation == lost.generation + 1


def test_the_planner_hands_on_what_a_reader_has_not_claimed(indexed, reader):
    Endpoint.objects.update(quiet_from="00:00", quiet_until="23:59:59")
    on_demand.known_series(place(reader).study_id)
    series = Series.objects.get(series_instance_uid=B)
    transfers.request_transfers(
        series_ids=[series.pk], institution_id=indexed.id, lane=Transfer.Lane.ON_DEMAND
    )

    assert planning.hand_on() == 1  # quiet hours do not hold for what somebody waits for


def test_an_instance_that_is_not_dicom_is_never_given_to_the_reader(indexed, reader):
    manners = indexed.origin.manners
    manners.retrieve, manners.at_part = "not-dicom", 1
    given = set()

    def take() -> None:
        reading = on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=A)
        with closing(reading):
            for piece in reading:
                given.add(piece.entry.sop_instance_uid)

    with pytest.raises((ReadBrokenOff, FetchFailed)):
        take()
    assert given <= {f"{A}.1", f"{A}.3"}


def test_a_series_that_the_hospital_gave_up_does_not_hide_the_others(indexed, reader):
    read(on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=A))
    settle()
    for number in (1, 2):
        indexed.origin.remove(f"{B}.{number}")

    with pytest.raises(FetchFailed):
        on_demand.open_series(actor=reader, place=place(reader), series_instance_uid=B)
    settle()
    reading = on_demand.open_study(actor=reader, place=place(reader))

    assert set(read(reading)) == {f"{A}.{number}" for number in (1, 2, 3)}
    assert reading.missing == [B]


def test_waiting_for_a_series_gives_its_place_in_the_archive(indexed, reader):
    found = on_demand.wait_for_series(actor=reader, place=place(reader), series_instance_uid=A)

    assert found.series_instance_uid == A
    assert found.instance_count == 3


def test_waiting_for_a_study_gives_every_series(indexed, reader):
    places, missing = on_demand.wait_for_study(actor=reader, place=place(reader))

    assert [each.series_instance_uid for each in places] == [A, B]
    assert missing == []


def test_waiting_ends_with_the_reason_when_the_hospital_does_not_send_in_time(
    indexed, reader, settings
):
    settings.ON_DEMAND_WAIT_S = 1
    Endpoint.objects.update(read_timeout_s=30)
    manners = indexed.origin.manners
    manners.retrieve, manners.at_part = "stall", 1

    with pytest.raises(FetchNotBegun, match="on its way"):
        on_demand.wait_for_series(actor=reader, place=place(reader), series_instance_uid=A)
    indexed.origin.released.set()


def test_a_reading_that_is_broken_off_leaves_the_place_of_its_reader(indexed, reader, settings):
    settings.ON_DEMAND_READERS = 1
    indexed.origin.manners.retrieve = "html"

    for _ in range(3):
        with pytest.raises((FetchFailed, HospitalAway)):
            on_demand.open_study(actor=reader, place=place(reader))
        settle()
