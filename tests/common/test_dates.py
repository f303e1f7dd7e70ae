"""Days of the province and instants of the world."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from common import dates


def test_a_day_begins_at_midnight_in_the_province():
    begin, end = dates.day_bounds(date(2026, 3, 1))

    assert begin == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert end == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert dates.day_of(begin) == date(2026, 3, 1)
    assert dates.day_of(end) == date(2026, 3, 2)


@pytest.mark.parametrize("day", [date(2026, 1, 31), date(2026, 1, 1)])
def test_a_month_is_half_open(day):
    assert dates.month_bounds(day) == (date(2026, 1, 1), date(2026, 2, 1))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20260131", date(2026, 1, 31)),
        ("2026.01.31", date(2026, 1, 31)),
        (" 20260131 ", date(2026, 1, 31)),
        ("20260231", None),
        ("2026", None),
        ("", None),
        ("２０２６０１３１", None),
    ],
)
def test_a_dicom_date_is_read_or_refused(text, day):
    assert dates.parse_dicom_date(text) == day


def test_a_dicom_date_is_written_with_four_digits_of_the_year():
    assert dates.dicom_date(date(1, 2, 3)) == "00010203"
