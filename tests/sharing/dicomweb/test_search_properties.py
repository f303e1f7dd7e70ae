"""What holds for every search, whatever is typed."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.dicom.names import name_grams
from common.dicomweb.server import BadRequest
from sharing.dicomweb import instances
from sharing.dicomweb.document_matching import wildcard
from sharing.dicomweb.keys import SERIES_KEYS, STUDY_KEYS
from sharing.dicomweb.matching import grams_of, like
from sharing.dicomweb.name_matching import patient_name
from sharing.dicomweb.query import Search, SearchTooBroad, parse_search
from sharing.dicomweb.searching import search_series, search_studies
from sharing.dicomweb.sight_sql import Within

QUICKLY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
LETTERS = st.sampled_from("abzAZ019 ^=*?%_\\'.-张三ÄßéİΣ𠀀")
TEXT = st.text(LETTERS, max_size=12)
NAMES = st.text(st.sampled_from("abcXYZ ^张三李O'é-"), max_size=14)


@QUICKLY
@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_query_is_read_or_refused(text: str) -> None:
    for matchable in (STUDY_KEYS.__contains__, instances.matchable):
        with suppress(BadRequest, SearchTooBroad):
            assert isinstance(parse_search(QueryDict(text.encode()), matchable=matchable), Search)


@QUICKLY
@given(
    st.dictionaries(st.sampled_from(sorted(STUDY_KEYS | SERIES_KEYS)), TEXT, min_size=1, max_size=4),
    st.sampled_from([None, True, False]),
    st.booleans(),
)  # fmt: skip
def test_any_value_of_any_key_is_a_question_that_the_database_understands(
    db: None, keys: dict[str, str], fuzzy: bool | None, empty_values: bool
) -> None:
    search = Search(keys=keys, fuzzy=fuzzy, empty_values=empty_values, limit=5)

    for within in (Within([1], False), Within([1, 2], True), Within(range(1, 40), True)):
        for run in (search_studies, search_series):
            with suppress(BadRequest):
                assert run(search, within) == ([], False)


@QUICKLY
@given(TEXT, TEXT.filter(lambda pattern: "\\" not in pattern and pattern.strip() == pattern))
def test_the_database_and_the_documents_agree_on_wildcards(
    db: None, text: str, pattern: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s LIKE %s", [text, like(pattern)])
        [matches] = cursor.fetchone()

    assert matches is (
        wildcard(pattern or "\\").fullmatch(text) is not None or pattern == text == ""
    )


@QUICKLY
@given(TEXT, TEXT)
def test_what_matches_a_pattern_has_the_parts_that_are_looked_up(
    db: None, text: str, pattern: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lower(%s) LIKE lower(%s), sharing_grams(%s) @> %s::text[]",
            [text, like(pattern), text, grams_of(pattern)],
        )
        matches, has_parts = cursor.fetchone()

    assert has_parts or not matches


@QUICKLY
@given(NAMES, st.data())
def test_a_name_that_matches_by_letter_has_what_is_looked_up(
    db: None, name: str, data: st.DataObject
) -> None:
    """A pattern made from the name itself is found by the whole condition as by the match alone."""
    group = data.draw(st.sampled_from(name.split("=")))
    start = data.draw(st.integers(0, len(group)))
    value = data.draw(
        st.sampled_from(
            [
                group,
                f"{group[:start]}*",
                f"*{group[start:]}",
                f"{group[:start]}?{group[start + 1 :]}",
            ]
        )
    )
    condition = patient_name(value, fuzzy=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT %s::varchar AS patient_name, %s::varchar[] AS name_grams) s"
            f" WHERE {condition.of('s')}",
            [name, name_grams(name), *condition.params],
        )
        [found] = cursor.fetchone()

    pattern = wildcard(value.strip().rstrip("^ ") or "\\", re.IGNORECASE)
    assert found == 1 or pattern.fullmatch(group.strip().rstrip("^ ")) is None


@pytest.mark.parametrize("value", ["*" * 4000, "?" * 4000, "*a" * 2000, "%_" * 2000, "张" * 4000])
@pytest.mark.parametrize("key", ["PatientName", "StudyDescription", "AccessionNumber", "PatientID"])
def test_long_patterns_are_answered_or_refused_at_once(reader: Any, key: str, value: str) -> None:
    answer = reader.get("/dicom-web/studies", {key: value, "fuzzymatching": "true"})

    assert answer.status_code in {200, 400}
