"""Values of search parameters as R4 writes them (§3.1.1.4)."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.fhir.errors import FHIRRefusal
from common.fhir.values import (
    Token,
    clean,
    code_of_id,
    id_of_code,
    period,
    plain,
    reference_id,
    split_list,
    token,
)

BASE = "https://cloud.example.org/fhir"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (",a,,b,", ["a", "b"]),
        (r"a\,b,c", ["a,b", "c"]),
        (r"a\\,b", ["a\\", "b"]),
        ("", []),
    ],
)
def test_commas_separate_unless_a_backslash_stands_before(text: str, values: list[str]) -> None:
    assert [plain(each) for each in split_list(text)] == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT", Token(None, "CT")),
        ("http://x|CT", Token("http://x", "CT")),
        ("|CT", Token("", "CT")),
        ("http://x|", Token("http://x", "")),
        (r"a\|b", Token(None, "a|b")),
        ("s|a|b", Token("s", "a|b")),
    ],
)
def test_a_token_is_a_system_and_a_code(text: str, expected: Token) -> None:
    assert token(text) == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7", "7"),
        ("Patient/7", "7"),
        (f"{BASE}/Patient/7", "7"),
        ("Device/7", ""),
        ("https://elsewhere/fhir/Patient/7", ""),
        ("Patient/7/_history/1", ""),
        ("Patient/../7", ""),
    ],
)
def test_a_reference_is_one_of_ours_or_none(text: str, found: str) -> None:
    assert reference_id(text, "Patient", base=BASE) == found


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2026", (2026, 1, 1), (2027, 1, 1)),
        ("2024-02", (2024, 2, 1), (2024, 3, 1)),
        ("2026-12", (2026, 12, 1), (2027, 1, 1)),
        ("2024-02-28", (2024, 2, 28), (2024, 2, 29)),
        ("2026-01-01T10:15", (2026, 1, 1, 10, 15), (2026, 1, 1, 10, 16)),
        ("2026-01-01T10:15:30", (2026, 1, 1, 10, 15, 30), (2026, 1, 1, 10, 15, 31)),
        (
            "2026-01-01T10:15:30.5",
            (2026, 1, 1, 10, 15, 30, 500_000),
            (2026, 1, 1, 10, 15, 30, 600_000),
        ),
        ("2026-01-01T16:00:00Z", (2026, 1, 2), (2026, 1, 2, 0, 0, 1)),
        ("2026-01-01T10:00:00 08:00", (2026, 1, 1, 10), (2026, 1, 1, 10, 0, 1)),
    ],
)
def test_a_date_is_a_stretch_as_long_as_it_is_imprecise(
    text: str, first: tuple[int, ...], end: tuple[int, ...]
) -> None:
    found = period(text)

    assert (found.first, found.end) == (dt.datetime(*first), dt.datetime(*end))  # type: ignore[arg-type,misc]


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_refused(text: str) -> None:
    try:
        found = period(text)
    except FHIRRefusal:
        return
    assert found.first <= found.end


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True))
def test_every_code_has_an_id_of_its_own(code: str) -> None:
    assert code_of_id(id_of_code(code)) == code
    assert "_" not in id_of_code(code)


@given(st.text(max_size=40))
def test_clean_text_is_what_fhir_takes(text: str) -> None:
    found = clean(text)

    assert found == found.strip()
    assert found.isprintable() or not found
