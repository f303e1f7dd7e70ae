"""Policy P1, with every vector of the sheet."""

from __future__ import annotations

from datetime import date

import pytest

from common.identifiers.resident_id import (
    MalformedResidentId,
    check_character,
    is_valid_resident_id,
    parse_resident_id,
)


@pytest.mark.parametrize(
    ("number", "birth_date", "is_male"),
    [
        pytest.param("990101200001010014", date(2000, 1, 1), True, id="P1-remainder-8-male"),
        pytest.param("99010119810101002X", date(1981, 1, 1), False, id="P1-remainder-2-X-female"),
        pytest.param("990101198002290011", date(1980, 2, 29), True, id="P1-remainder-0-leap-day"),
    ],
)
def test_the_valid_numbers_of_the_policy(number, birth_date, is_male):
    parsed = parse_resident_id(number)

    assert parsed.number == number
    assert parsed.area == "990101"
    assert parsed.birth_date == birth_date
    assert parsed.is_male is is_male


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        pytest.param("990101200001010015", "check digit", id="P1-check-digit-wrong"),
        pytest.param("990101198102290019", "birth date", id="P1-check-right-date-impossible"),
        pytest.param("99010120000101001", "17 digits", id="P1-too-short"),
        pytest.param("9901012000010100144", "17 digits", id="P1-too-long"),
        pytest.param("X90101200001010014", "17 digits", id="P1-letter-in-front"),
        pytest.param("９90101200001010014", "17 digits", id="P1-full-width-digit"),
        pytest.param("", "17 digits", id="P1-empty"),
    ],
)
def test_a_wrong_number_is_refused_with_its_rule_and_without_the_number(number, rule):
    with pytest.raises(MalformedResidentId, match=rule) as refused:
        parse_resident_id(number)

    assert not number or number not in str(refused.value)


def test_a_small_x_is_accepted_and_stored_as_a_capital():
    assert parse_resident_id(" 99010119810101002x ").number == "99010119810101002X"


def test_the_date_of_the_last_vector_fails_and_not_its_check_digit():
    assert check_character("99010119810229001") == "9"
    assert not is_valid_resident_id("990101198102290019")


def test_a_traceback_does_not_quote_the_number():
    assert "2000" not in repr(parse_resident_id("990101200001010014"))
