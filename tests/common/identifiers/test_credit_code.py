"""Policy P2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.identifiers.credit_code import (
    MalformedCreditCode,
    check_character,
    is_valid_credit_code,
    parse_credit_code,
)

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def code_of(body: str) -> str:
    return body + check_character(body)


def test_the_check_character_follows_the_formula():
    body = "91350100M000100Y4"
    total = sum(ALPHABET.index(c) * 3**i for i, c in enumerate(body))  # not reduced on the way

    assert check_character(body) == ALPHABET[(31 - total % 31) % 31]


def test_a_published_code_is_accepted():
    assert parse_credit_code("91350100M000100Y43") == "91350100M000100Y43"


def test_small_letters_and_blanks_are_levelled():
    assert parse_credit_code(" 91350100m000100y43\n") == "91350100M000100Y43"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("91350100M000100Y44", id="P2-check-wrong"),
        pytest.param("91350100M000100Y4", id="P2-short"),
        pytest.param("91350100M000100Y433", id="P2-long"),
        pytest.param("91350100I000100Y43", id="P2-letter-I"),
        pytest.param("", id="P2-empty"),
    ],
)
def test_a_wrong_code_is_refused(text):
    with pytest.raises(MalformedCreditCode):
        parse_credit_code(text)


@given(st.text(ALPHABET, min_size=17, max_size=17), st.integers(0, 17), st.sampled_from(ALPHABET))
def test_every_single_wrong_character_is_found(body, place, other):
    code = code_of(body)
    altered = code[:place] + other + code[place + 1 :]

    assert is_valid_credit_code(code)
    assert is_valid_credit_code(altered) == (altered == code)
