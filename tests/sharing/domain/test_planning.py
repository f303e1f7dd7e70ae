"""Who is served next."""

from datetime import date

import pytest

from sharing.domain.planning import Waiting, choose, halves, retry_delay_s, windows


def test_the_faster_lane_is_emptied_before_the_slower_begins() -> None:
    waiting = [Waiting(1, 2, (10, 11)), Waiting(1, 0, (12,)), Waiting(1, 1, (13,))]

    assert choose(waiting, free={1: 9}, slots=3) == [12, 13, 10]


def test_institutions_take_turns_inside_a_lane() -> None:
    waiting = [Waiting(1, 2, (10, 11, 12)), Waiting(2, 2, (20, 21))]

    assert choose(waiting, free={1: 9, 2: 9}, slots=4) == [10, 20, 11, 21]


def test_another_institution_begins_at_each_turn() -> None:
    waiting = [Waiting(1, 2, (10,)), Waiting(2, 2, (20,))]

    assert choose(waiting, free={1: 9, 2: 9}, slots=1, turn=0) == [10]
    assert choose(waiting, free={1: 9, 2: 9}, slots=1, turn=1) == [20]


def test_no_institution_gets_more_than_its_cap_leaves_free() -> None:
    waiting = [Waiting(1, 0, (10, 11)), Waiting(1, 2, (12,)), Waiting(2, 2, (20,))]

    assert choose(waiting, free={1: 1, 2: 1}, slots=9) == [10, 20]


def test_a_closed_institution_gets_nothing() -> None:
    assert choose([Waiting(1, 0, (10,))], free={1: 0}, slots=9) == []
    assert choose([Waiting(1, 0, (10,))], free={}, slots=9) == []


@pytest.mark.parametrize(("attempts", "most"), [(1, 2), (2, 4), (5, 32), (60, 3600)])
def test_retries_wait_twice_as_long_each_time_up_to_an_hour_with_jitter(attempts, most) -> None:
    assert retry_delay_s(attempts=attempts, jitter=0.0) == most / 2
    assert most / 2 < retry_delay_s(attempts=attempts, jitter=0.99) < most


def test_windows_cover_each_day_once_newest_first() -> None:
    found = windows(date(2025, 1, 1), date(2025, 3, 1), days=31)

    assert sum((end - start).days + 1 for start, end in found) == 60
    assert all((end - start).days < 31 for start, end in found)
    assert found[0][1] == date(2025, 3, 1)
    assert found[-1][0] == date(2025, 1, 1)


def test_a_window_splits_into_halves_until_it_is_a_day() -> None:
    assert halves(date(2025, 1, 1), date(2025, 1, 2)) == (
        (date(2025, 1, 1), date(2025, 1, 1)),
        (date(2025, 1, 2), date(2025, 1, 2)),
    )
    assert halves(date(2025, 1, 1), date(2025, 1, 1)) is None
