"""How names, sizes and times are shown."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone
from django.utils.translation import override

from common.ui.templatetags import ui


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("Zhang^San=张^三", "张三 (Zhang San)", id="han-first"),
        pytest.param("张^三", "张三", id="han-only"),
        pytest.param("Doe^John^^Dr", "Doe John Dr", id="latin"),
        pytest.param("", "", id="nothing"),
        pytest.param("=张^三", "张三", id="no-alphabetic-group"),
    ],
)
def test_a_person_name_reads_as_people_write_it(value, shown):
    assert ui.person_name(value) == shown


def test_a_masked_name_keeps_its_first_character_P5():
    assert ui.masked_name("Zhang^San=张^三") == "张*"
    assert ui.masked_name("") == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (105_000_000, "105 MB"),
        (None, "0 B"),
    ],
)
def test_a_size_has_three_figures_at_most(value, shown):
    with override("en"):
        assert ui.size(value) == shown


def test_a_time_that_never_was_is_said_so():
    with override("en"):
        assert ui.ago(None) == "never"
        assert ui.ago(timezone.now()) == "just now"
        assert ui.ago(timezone.now() - dt.timedelta(hours=2)) == "2 hours ago"
