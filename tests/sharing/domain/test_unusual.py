"""What is unusual about an access, as rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sharing.domain.unusual import Look, bursts, is_odd_hour, same_family

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("actor", "patient", "name"),
    [
        ("李娜", "Li^Wei=李^伟", "李"),
        ("李 娜", "李伟", "李"),
        ("李娜", "LI^WEI", "li"),
        ("Li Na", "Li^Wei=李^伟", "li"),
        ("Na Li", "=李^伟", "li"),
        ("欧阳娜娜", "Ouyang^Feng=欧阳^锋", "欧阳"),
        ("欧阳娜娜", "欧阳锋", "欧阳"),
        ("欧阳 娜", "欧阳锋", "欧阳"),
        ("曾敏", "ZENG^QIANG", "zeng"),
        ("Anna Müller", "Müller^Hans", "müller"),
        ("王芳", "Wang^Bo=汪^波", ""),
        ("李娜", "Wang^Xiaodong=王^小东=", ""),
        ("radiologist", "Radiologist^Test", ""),
        ("欧娜", "欧阳^锋", ""),
        ("李娜", "", ""),
        ("", "李^伟", ""),
    ],
)
def test_own_family_name_by_han_or_by_how_it_reads(actor, patient, name):
    assert same_family(actor, patient) == name


def test_a_name_that_is_left_out_says_nothing_however_it_is_written():
    assert same_family("李娜", "Li^Wei=李^伟", left_out=["李"]) == ""
    assert same_family("Li Na", "Li^Wei=李^伟", left_out=["李"]) == ""
    assert same_family("张敏", "张^伟", left_out=["李"]) == "张"


def looks(*minutes: float) -> list[Look]:
    """One look at another person at each of these minutes."""
    return [Look(1, f"P{n}", START + timedelta(minutes=at)) for n, at in enumerate(minutes)]


def test_so_many_patients_within_the_time_are_a_burst():
    (found,) = bursts(looks(0, 1, 2, 3), patients=4, within=timedelta(minutes=5))

    assert (found.first_at, found.last_at) == (START, START + timedelta(minutes=3))
    assert found.persons == {"P0", "P1", "P2", "P3"}


def test_the_same_patient_again_and_again_is_none():
    again = [Look(1, "P0", START + timedelta(seconds=n)) for n in range(100)]

    assert bursts(again, patients=2, within=timedelta(minutes=5)) == []


def test_as_many_patients_over_a_longer_time_are_none():
    assert bursts(looks(0, 2, 4, 6), patients=4, within=timedelta(minutes=5)) == []


def test_a_look_just_at_the_end_of_the_time_no_longer_counts():
    assert bursts(looks(0, 5), patients=2, within=timedelta(minutes=5)) == []
    assert len(bursts(looks(0, 4.99), patients=2, within=timedelta(minutes=5))) == 1


def test_stretches_that_overlap_are_one_burst_and_others_are_two():
    one = bursts(looks(0, 1, 2, 3, 4), patients=3, within=timedelta(minutes=3))
    two = bursts(looks(0, 1, 2, 60, 61, 62), patients=3, within=timedelta(minutes=3))

    assert [len(each.persons) for each in one] == [5]
    assert [len(each.persons) for each in two] == [3, 3]


@pytest.mark.parametrize(
    ("hour", "hours", "odd"),
    [(23, (22, 5), True), (4, (22, 5), True), (5, (22, 5), False), (12, (22, 5), False),
     (2, (1, 4), True), (4, (1, 4), False), (3, None, False)],
)  # fmt: skip
def test_odd_hours_may_go_over_midnight(hour, hours, odd):
    assert is_odd_hour(hour, hours) is odd
