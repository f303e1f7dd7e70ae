"""The life of a transfer: asked for once, handed out fairly, claimed by one, taken back when lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.storage import StoreUnavailable
from hospitals import services as hospital_services
from hospitals.models import Endpoint
from sharing.errors import LeaseLost, NotRetryable, SeriesIncomplete
from sharing.models import Series, Study, Transfer
from sharing.services import planning, transfers

Lane = Transfer.Lane


@pytest.fixture
def make_series(db):
    def make(institution, count: int = 1, *, study: str = "1.2.3") -> list[Series]:
        row, _ = Study.objects.get_or_create(
            institution=institution, study_instance_uid=study, defaults={"found_at": timezone.now()}
        )
        start = row.series.count()
        return [
            Series.objects.create(study=row, series_instance_uid=f"{study}.{start + number}")
            for number in range(count)
        ]

    return make


@pytest.fixture
def h1(make_hospital):
    return make_hospital("H1", base_url="http://127.0.0.1:9/dicom-web", concurrency=2)


@pytest.fixture
def h2(make_hospital):
    return make_hospital("H2", base_url="http://127.0.0.1:9/dicom-web", concurrency=2)


def ask(institution, series, lane=Lane.BACKFILL, **more) -> int:
    return transfers.request_transfers(
        series_ids=[one.pk for one in series], institution_id=institution.pk, lane=lane, **more
    )


def claimed(institution, series) -> transfers.Claim:
    ask(institution, series)
    held = transfers.claim(transfer_id=Transfer.objects.latest("pk").pk, worker="a")
    assert held is not None
    return held


def test_asking_twice_queues_one_transfer(h1, make_series):
    series = make_series(h1, 3)

    assert ask(h1, series) == 3
    assert ask(h1, series) == 0
    assert Transfer.objects.count() == 3


def test_a_series_has_at_most_one_open_transfer(h1, make_series):
    (series,) = make_series(h1)
    ask(h1, [series])
    now = timezone.now()

    with pytest.raises(IntegrityError, match="transfer_one_open_per_series"), transaction.atomic():
        Transfer.objects.create(series=series, institution=h1, not_before=now, asked_at=now)


def test_a_running_transfer_has_a_lease(h1, make_series):
    ask(h1, make_series(h1))

    with pytest.raises(IntegrityError, match="transfer_running_has_a_lease"), transaction.atomic():
        Transfer.objects.update(state="running")


@pytest.mark.parametrize(
    ("first", "second"), [(Lane.BACKFILL, Lane.ON_DEMAND), (Lane.ON_DEMAND, Lane.BACKFILL)]
)
def test_asking_again_in_a_faster_lane_moves_it_there_and_never_back(
    h1, make_series, first, second
):
    series = make_series(h1)
    ask(h1, series, first)

    ask(h1, series, second, again=True)

    transfer = Transfer.objects.get()
    assert (transfer.lane, transfer.again) == (Lane.ON_DEMAND, True)


def test_asking_again_ends_the_wait_for_the_next_try(h1, make_series):
    series = make_series(h1)
    ask(h1, series)
    Transfer.objects.update(not_before=timezone.now() + timedelta(hours=1))

    ask(h1, series)

    assert Transfer.objects.get().not_before <= timezone.now()


def test_institutions_take_turns_each_within_its_cap(h1, h2, make_series):
    ask(h1, make_series(h1, 9))
    ask(h2, make_series(h2, 9))

    chosen = transfers.hand_out(slots=3)

    by = [Transfer.objects.get(pk=pk).institution_id for pk in chosen]
    assert {by.count(h1.pk), by.count(h2.pk)} == {1, 2}
    assert len(transfers.hand_out(slots=100)) == 1
    assert transfers.hand_out(slots=100) == []


def test_what_is_asked_on_demand_goes_before_everything_else(h1, make_series):
    ask(h1, make_series(h1, 4))
    urgent = make_series(h1, 1)
    ask(h1, urgent, Lane.ON_DEMAND)

    (chosen, *_) = transfers.hand_out(slots=1)

    assert Transfer.objects.get(pk=chosen).series == urgent[0]
    assert Transfer.objects.get(pk=chosen).state == "handed"


def test_in_quiet_hours_only_what_is_asked_on_demand_is_handed_out(h1, make_series):
    Endpoint.objects.filter(institution=h1).update(
        quiet_from=(timezone.localtime() - timedelta(hours=1)).time(),
        quiet_until=(timezone.localtime() + timedelta(hours=1)).time(),
    )
    ask(h1, make_series(h1, 2))
    ask(h1, make_series(h1, 1), Lane.TODAY)
    urgent = make_series(h1, 1)
    ask(h1, urgent, Lane.ON_DEMAND)

    chosen = transfers.hand_out(slots=10)

    assert [Transfer.objects.get(pk=pk).series for pk in chosen] == urgent


def test_nothing_is_handed_out_of_an_institution_whose_circuit_is_open(h1, h2, make_series):
    ask(h1, make_series(h1, 2))
    ask(h2, make_series(h2, 2))
    Endpoint.objects.filter(institution=h1).update(open_until=timezone.now() + timedelta(minutes=5))

    chosen = transfers.hand_out(slots=10)

    assert {Transfer.objects.get(pk=pk).institution_id for pk in chosen} == {h2.pk}


def test_after_an_open_circuit_one_transfer_tries_first(h1, make_series):
    ask(h1, make_series(h1, 2))
    Endpoint.objects.filter(institution=h1).update(open_until=timezone.now() - timedelta(seconds=1))

    assert len(transfers.hand_out(slots=10)) == 1


def test_nothing_is_handed_out_of_a_suspended_institution(h1, make_series):
    ask(h1, make_series(h1, 2))
    hospital_services.suspend(actor="test", code="H1", reason="contract ended")

    assert transfers.hand_out(slots=10) == []


def test_nothing_is_handed_out_before_its_time(h1, make_series):
    ask(h1, make_series(h1))
    Transfer.objects.update(not_before=timezone.now() + timedelta(seconds=30))

    assert transfers.hand_out(slots=10) == []


def test_a_planned_round_fills_the_places_and_no_more(h1, h2, make_series, settings):
    settings.PULL_PLACES = 3
    ask(h1, make_series(h1, 5))
    ask(h2, make_series(h2, 5))

    assert planning.plan() == 3
    assert planning.plan() == 0


def test_a_transfer_is_claimed_by_one_worker_only(h1, make_series):
    ask(h1, make_series(h1))
    (pk,) = transfers.hand_out(slots=1)

    first = transfers.claim(transfer_id=pk, worker="a")
    second = transfers.claim(transfer_id=pk, worker="b")

    assert first is not None
    assert second is None
    assert Transfer.objects.get().worker == "a"
    assert Study.objects.get().state == "pulling"


def test_a_finished_transfer_is_not_claimed_again(h1, make_series):
    held = claimed(h1, make_series(h1))
    transfers.finish(held, instances=1, size_bytes=10, quarantined=0)

    assert transfers.claim(transfer_id=held.transfer_id, worker="b") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda held: transfers.renew(held, instances=1, size_bytes=1, expected=None),
        lambda held: transfers.finish(held, instances=1, size_bytes=1, quarantined=0),
        lambda held: transfers.put_back(held, error=SeriesIncomplete(), retryable=True),
        lambda held: transfers.require_held(held),
    ],
    ids=["renew", "finish", "put-back", "make-current"],
)
def test_a_worker_that_lost_its_lease_can_change_nothing(h1, make_series, change):
    stale = claimed(h1, make_series(h1))
    Transfer.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    fresh = transfers.claim(transfer_id=stale.transfer_id, worker="b")
    assert fresh is not None
    before = Transfer.objects.values().get()

    with pytest.raises(LeaseLost):
        change(stale)

    assert Transfer.objects.values().get() == before
    assert fresh.generation == stale.generation + 1


def test_a_lease_that_ended_without_a_word_is_given_back(h1, make_series):
    stale = claimed(h1, make_series(h1))
    Transfer.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert transfers.release_lost() == 1

    transfer = Transfer.objects.get()
    assert (transfer.state, transfer.error_code) == ("waiting", "worker-lost")
    with pytest.raises(LeaseLost):
        transfers.finish(stale, instances=1, size_bytes=1, quarantined=0)
    assert transfers.release_lost() == 0


def test_a_message_that_reached_nobody_is_given_back(h1, make_series):
    ask(h1, make_series(h1))
    transfers.hand_out(slots=1)
    Transfer.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert transfers.release_lost() == 1
    assert Transfer.objects.get().state == "waiting"


def test_a_lease_in_force_is_left_alone(h1, make_series):
    claimed(h1, make_series(h1))

    assert transfers.release_lost() == 0


def test_a_series_that_kills_its_worker_each_time_is_given_up(h1, make_series):
    claimed(h1, make_series(h1))
    Transfer.objects.update(
        lease_until=timezone.now() - timedelta(seconds=1), attempts=transfers.MAX_ATTEMPTS
    )

    assert transfers.release_lost() == 1

    transfer = Transfer.objects.get()
    assert (transfer.state, transfer.error_code) == ("failed", "worker-lost")


def test_the_delay_grows_with_each_try_until_it_gives_up(h1, make_series):
    held = claimed(h1, make_series(h1))
    delays: list[float] = []
    while True:
        now = timezone.now()
        then = transfers.put_back(held, error=SeriesIncomplete("2 missing"), retryable=True)
        if then is None:
            break
        delays.append((then - now).total_seconds())
        held = transfers.claim(transfer_id=held.transfer_id, worker="a")

    assert len(delays) == transfers.MAX_ATTEMPTS - 1
    for number, delay in enumerate(delays):
        assert 2**number <= delay + 0.5
        assert delay <= 2 ** (number + 1) + 0.5
    transfer = Transfer.objects.get()
    assert (transfer.state, transfer.error_text) == ("failed", "2 missing")
    assert transfer.finished_at is not None


def test_our_own_store_being_away_gives_no_series_up(h1, make_series):
    held = claimed(h1, make_series(h1))
    for _ in range(transfers.MAX_ATTEMPTS + 2):
        then = transfers.put_back(held, error=StoreUnavailable("away"), retryable=True)
        assert then is not None
        held = transfers.claim(transfer_id=held.transfer_id, worker="a")

    assert (
        then - timezone.now()
    ).total_seconds() > 60  # and the hospital is not asked all the time


def test_what_cannot_be_mended_by_waiting_is_not_tried_again(h1, make_series):
    held = claimed(h1, make_series(h1))

    assert transfers.put_back(held, error=SeriesIncomplete(), retryable=False) is None
    assert Transfer.objects.get().state == "failed"


def test_a_person_asks_again_for_what_failed(h1, make_series):
    held = claimed(h1, make_series(h1))
    transfers.put_back(held, error=SeriesIncomplete(), retryable=False)

    transfers.retry_transfer(actor="test", transfer_id=held.transfer_id)

    transfer = Transfer.objects.get()
    assert (transfer.state, transfer.attempts, transfer.finished_at) == ("waiting", 0, None)


def test_a_person_ends_the_wait_for_the_next_try(h1, make_series):
    held = claimed(h1, make_series(h1))
    Transfer.objects.update(attempts=7)
    transfers.put_back(held, error=SeriesIncomplete(), retryable=True)

    transfers.retry_transfer(actor="test", transfer_id=held.transfer_id)

    assert Transfer.objects.get().not_before <= timezone.now()


def test_what_runs_is_done_or_was_asked_for_anew_is_not_retried(h1, make_series):
    series = make_series(h1)
    held = claimed(h1, series)
    with pytest.raises(NotRetryable):
        transfers.retry_transfer(actor="test", transfer_id=held.transfer_id)
    transfers.put_back(held, error=SeriesIncomplete(), retryable=False)
    ask(h1, series)

    with pytest.raises(NotRetryable):
        transfers.retry_transfer(actor="test", transfer_id=held.transfer_id)
