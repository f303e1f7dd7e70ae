"""What is sent to hospitals, and what of their answer may be what was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from sharing.domain.question import Question, filters_for, fits, keys_for, require_bounded
from sharing.errors import QuestionUnbounded

DATE, ACCESSION, MODALITIES = "00080020", "00080050", "00080061"
NAME, NUMBER, UID = "00100010", "00100020", "0020000D"


def row(**values: Any) -> dict[str, Any]:
    """A search result with these values by tag."""
    return {
        tag.removeprefix("t"): {"Value": value if isinstance(value, list) else [value]}
        for tag, value in values.items()
    }


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({NUMBER: "P1", NAME: "zhang"}, {"PatientID": "P1"}),
        ({NAME: "张三"}, {"PatientName": "*张*三*"}),
        ({NAME: "Zhang^San"}, {"PatientName": "*Zhang*San*"}),
        ({DATE: "20260101-20260105", MODALITIES: "CT"}, {"StudyDate": "20260101-20260105", "ModalitiesInStudy": "CT"}),
        ({DATE: "20260101", MODALITIES: "CT,MR"}, {"StudyDate": "20260101"}),
        ({NUMBER: "P1\\P2", DATE: "20260101"}, {"StudyDate": "20260101"}),
        ({UID: "1.2\\1.3"}, {"StudyInstanceUID": "1.2,1.3"}),
        ({ACCESSION: "A1", "00081030": "CHEST"}, {"AccessionNumber": "A1"}),
        ({NUMBER: '""', DATE: "20260101"}, {"StudyDate": "20260101"}),
    ],
    ids=str,
)  # fmt: skip
def test_few_and_plain_keys_are_sent(keys, sent):
    assert filters_for(keys) == sent


@pytest.mark.parametrize(
    "keys",
    [
        {UID: "1.2"},
        {NUMBER: "1"},
        {NUMBER: "123*"},
        {ACCESSION: "A1"},
        {NAME: "张三"},
        {NAME: "zs"},
        {DATE: "20260301"},
        {DATE: "20260301-20260331"},
    ],
    ids=str,
)
def test_a_bounded_question_may_be_asked(keys):
    require_bounded(Question(keys))


def test_one_day_too_many_is_not_asked():
    with pytest.raises(QuestionUnbounded):
        require_bounded(Question({DATE: "20260301-20260401"}))


@pytest.mark.parametrize(
    ("value", "code", "local"),
    [("H1:P1", "H1", "P1"), ("H1:P1", "H2", None), ("P1", "H2", "P1"), ("H1:A\\H2:B", "H2", "B")],
)
def test_a_number_belongs_to_the_institution_that_it_names(value, code, local):
    keys = keys_for(Question({NUMBER: value}, namespaced=True), code)

    assert (keys or {}).get(NUMBER) == local


@pytest.mark.parametrize(
    ("keys", "result", "expected"),
    [
        ({NUMBER: "P1"}, row(t00100020="P1"), True),
        ({NUMBER: "P1"}, row(t00100020="P10"), False),
        ({NUMBER: "P?"}, row(t00100020="P1"), True),
        ({NUMBER: "P*1*"}, row(t00100020="P-x1y"), True),
        ({NUMBER: "P1"}, row(), False),
        ({NUMBER: "P1\\P2"}, row(t00100020="P2"), True),
        ({DATE: "20260101-20260131"}, row(t00080020="20260131"), True),
        ({DATE: "20260101-20260131"}, row(t00080020="2026.02.01"), False),
        ({DATE: "20260101"}, row(), False),
        ({UID: "1.2,1.3"}, row(t0020000D="1.3"), True),
        ({UID: "1.2"}, row(t0020000D="1.20"), False),
        ({MODALITIES: "CT\\MR"}, row(t00080061=["SR", "MR"]), True),
        ({MODALITIES: "CT"}, row(t00080061=["MR"]), False),
        ({MODALITIES: "CT"}, row(), True),
        ({NAME: "zhangsan"}, row(t00100010={"Alphabetic": "Zhang^San", "Ideographic": "张^三"}), True),
        ({NAME: "zs"}, row(t00100010={"Ideographic": "张^三"}), True),
        ({NAME: "张*"}, row(t00100010={"Alphabetic": "Zhang^San", "Ideographic": "张^三"}), True),
        ({NAME: "Li*"}, row(t00100010={"Alphabetic": "Zhang^San"}), False),
        ({"00081030": "CHEST"}, row(), True),
        ({NUMBER: '""'}, row(t00100020="P1"), True),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_have_been_asked_for_does_not_fit(keys, result, expected):
    assert fits(result, keys) is expected


def test_a_fuzzy_name_is_judged_by_our_own_search_alone():
    assert fits(row(t00100010={"Alphabetic": "Chang^San"}), {NAME: "Zhang"}, fuzzy=True)
