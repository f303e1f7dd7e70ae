"""Which studies a hospital has: windows, cursor, and what of a known study is left alone."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.utils import timezone

from hospitals import services as hospital_services
from sharing.errors import InstitutionNotActive
from sharing.models import DiscoveryWindow, Series, Study, Transfer
from sharing.services import discovery
from tests.support.pulling import SERIES, STUDY, add_all, discover, instance, make_due, run_due


def studies(count: int, **more):
    return (instance(1, study=f"1.2.9.{n}", series=f"1.2.9.{n}.1", **more) for n in range(count))


def test_every_study_that_is_listed_gets_an_index_row_and_its_series_a_transfer(hospital):
    add_all(hospital.origin, [instance(1), instance(2), *studies(2)])

    (window,) = discover(hospital.id)

    assert (window.state, window.found) == ("done", 3)
    study = Study.objects.get(study_instance_uid=STUDY)
    assert (study.state, study.listed_instances) == ("indexed", 2)
    assert study.patient_name == "Zhang^San"
    assert study.study_date == date(2026, 3, 1)
    assert Transfer.objects.count() == 3
    assert set(Transfer.objects.values_list("lane", flat=True)) == {Transfer.Lane.BACKFILL}


def test_the_index_alone_can_be_written(hospital):
    add_all(hospital.origin, studies(3))

    discover(hospital.id, index_only=True)

    assert Study.objects.filter(state="indexed").count() == 3
    assert not Transfer.objects.exists()
    assert hospital.origin.paths("/series") == []


def test_dates_become_windows_the_newest_first_and_nothing_outside_is_taken(hospital):
    hospital.origin.add(instance(1))
    hospital.origin.add(instance(1, study="1.2.9", series="1.2.9.1", study_date="20200101"))

    windows = discovery.open_window(
        institution_id=hospital.id, since=date(2024, 1, 1), until=date(2026, 6, 30)
    )
    for window in windows:
        discovery.run_window(window_id=window.pk)

    assert windows[0].until == date(2026, 6, 30)
    assert windows[-1].since == date(2024, 1, 1)
    assert [study.study_instance_uid for study in Study.objects.all()] == [STUDY]


def test_a_study_without_a_date_is_found_by_the_window_without_dates(hospital):
    hospital.origin.add(instance(1, study_date=""))

    discover(hospital.id)

    assert Study.objects.get().study_date is None


def test_reading_goes_on_where_it_stopped(hospital, monkeypatch):
    monkeypatch.setattr(discovery, "PAGE", 2)
    add_all(hospital.origin, studies(6))
    (window,) = discovery.open_window(institution_id=hospital.id)
    real, calls = discovery.take_study, []

    def killed_at_the_fourth(*args, **kwargs):
        calls.append(kwargs["row"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(discovery, "take_study", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        discovery.run_window(window_id=window.pk)
    window.refresh_from_db()
    assert (window.state, window.offset) == ("open", 2)
    assert discovery.run_window(window_id=window.pk) is None  # the lease of the dead one holds

    DiscoveryWindow.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    hospital.origin.requests.clear()
    discovery.run_window(window_id=window.pk)

    assert Study.objects.count() == 6
    offsets = [
        int(query["offset"])
        for path, query in hospital.origin.requests
        if path == "/studies" and "offset" in query
    ]
    assert 2 in offsets
    assert len(calls) == 4 + 4


def test_an_error_is_written_into_the_window_with_the_next_try(hospital):
    hospital.origin.manners.status = 500

    (window,) = discover(hospital.id)

    assert (window.state, window.error_code) == ("open", "origin-failed")
    assert window.not_before > timezone.now()
    assert window.lease_until is None


def test_a_window_that_always_fails_is_given_up(hospital):
    hospital.origin.manners.status = 500
    (window,) = discovery.open_window(institution_id=hospital.id)

    for _ in range(discovery.MAX_ATTEMPTS):
        make_due(hospital.id)
        discovery.run_window(window_id=window.pk)

    window.refresh_from_db()
    assert (window.state, window.attempts) == ("failed", discovery.MAX_ATTEMPTS)


def test_an_institution_suspended_meanwhile_is_not_asked_and_the_window_says_so(hospital):
    (window,) = discovery.open_window(institution_id=hospital.id)
    hospital_services.suspend(actor="test", code="H1", reason="contract ended")

    discovery.run_window(window_id=window.pk)

    window.refresh_from_db()
    assert (window.state, window.lease_until) == ("failed", None)
    assert window.error_code
    assert hospital.origin.requests == []
    with pytest.raises(InstitutionNotActive):
        discovery.open_window(institution_id=hospital.id)


def test_an_archived_study_that_did_not_change_is_left_alone(hospital):
    add_all(hospital.origin, [instance(1), instance(2)])
    hospital.pull()
    assert Study.objects.get().state == "archived"
    hospital.origin.requests.clear()

    hospital.pull()

    assert hospital.origin.paths("/series") == []
    assert Transfer.objects.count() == 1


def test_a_study_with_more_instances_than_before_is_pulled_again(hospital):
    hospital.origin.add(instance(1))
    hospital.pull()
    hospital.origin.add(instance(2))

    hospital.pull()

    assert Study.objects.get().instance_count == 2
    assert Series.objects.get().current.number == 2


def test_the_list_does_not_overwrite_what_the_files_said(hospital):
    hospital.origin.add(instance(1, name="王^五"))
    hospital.pull()
    hospital.origin.held[0].attributes["00100010"] = {
        "vr": "PN",
        "Value": [{"Alphabetic": "???"}],
    }

    discover(hospital.id)

    study = Study.objects.get()
    assert study.patient_name == "王^五"
    assert study.checked_at > study.found_at


def test_the_list_is_all_there_is_until_the_files_come(hospital):
    hospital.origin.add(instance(1, name="王^五"))
    discover(hospital.id, index_only=True)
    hospital.origin.held[0].attributes["00100010"] = {
        "vr": "PN",
        "Value": [{"Alphabetic": "Wang^Wu"}],
    }

    discover(hospital.id, index_only=True)

    assert Study.objects.get().patient_name == "Wang^Wu"


def test_one_study_can_be_asked_for_by_its_uid(hospital):
    add_all(hospital.origin, [instance(1), *studies(2)])

    found = discovery.index_study(
        institution_id=hospital.id, study_instance_uid=STUDY, lane=Transfer.Lane.ON_DEMAND
    )

    assert found == 1
    transfer = Transfer.objects.get()
    assert (transfer.lane, transfer.again) == (Transfer.Lane.ON_DEMAND, True)


def test_a_study_that_the_hospital_does_not_list_is_not_found(hospital):
    hospital.origin.add(instance(1))
    hospital.origin.manners.ignore_filters = True

    found = discovery.index_study(
        institution_id=hospital.id, study_instance_uid="1.2.3.4", lane=Transfer.Lane.ON_DEMAND
    )

    assert found == 0
    assert not Study.objects.exists()


def test_today_and_the_last_month_are_opened_once_in_a_while(hospital):
    discovery.open_due_windows()
    discovery.open_due_windows()

    today = timezone.localdate()
    windows = DiscoveryWindow.objects.order_by("-since")
    assert [(w.since, w.until) for w in windows] == [
        (today - timedelta(days=1), today),
        (today - timedelta(days=30), today),
    ]
    assert {w.lane for w in windows} == {Transfer.Lane.TODAY}


@pytest.mark.parametrize(
    ("ago", "state"),
    [(timedelta(days=6), "done"), (timedelta(days=8), "open")],
)
def test_everything_is_looked_at_weekly_where_a_person_asked_for_it_once(hospital, ago, state):
    window = DiscoveryWindow.objects.create(
        institution_id=hospital.id, state="done", not_before=timezone.now(), index_only=True
    )
    DiscoveryWindow.objects.filter(pk=window.pk).update(updated_at=timezone.now() - ago)

    discovery.open_due_windows()

    window.refresh_from_db()
    assert window.state == state
    assert window.index_only


def test_a_hospital_that_nobody_asked_for_everything_is_not_listed_as_a_whole(hospital):
    discovery.open_due_windows()

    assert not DiscoveryWindow.objects.filter(since=None).exists()


def test_two_hospitals_may_hold_a_study_of_the_same_uid(hospital, make_hospital):
    hospital.origin.add(instance(1))
    other = make_hospital("H2", base_url=hospital.origin.url)

    hospital.pull()
    discover(other.pk)
    run_due(other.pk)

    assert Study.objects.filter(study_instance_uid=STUDY, state="archived").count() == 2
    assert Series.objects.filter(series_instance_uid=SERIES).count() == 2
