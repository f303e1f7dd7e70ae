"""What a report may hold, and which version is the newer."""

from __future__ import annotations

import datetime as dt

import pytest

from sharing.domain.report import (
    MOST_TEXT,
    Known,
    ReportStatus,
    Verdict,
    checked,
    plain_text,
    status_after,
    verdict,
)
from sharing.errors import ReportContentInvalid
from tests.support.reports import AT, content

NOW = AT + dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\x00b\x07c\x1bd\x9be", "abcde"),
        ("left\u202eright\u2066x", "leftrightx"),
        ("line  \n\n\n\n\nnext\u3000\n", "line\n\nnext"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        ("\ud800x", "x"),
    ],
)
def test_text_is_kept_as_lines_without_what_cannot_be_shown(sent: str, kept: str) -> None:
    assert plain_text(sent) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        content(findings="", impression=" \x00\n"),
        content(findings="x" * (MOST_TEXT + 1)),
        content(impression="x" * (MOST_TEXT + 1)),
        content(author="x" * 401),
        content(reported_at=dt.datetime(2026, 3, 1)),
        content(reported_at=NOW + dt.timedelta(days=2)),
        content(version=0),
        content(version=2**31),
    ],
)
def test_what_cannot_be_kept_is_refused(wrong: object) -> None:
    with pytest.raises(ReportContentInvalid):
        checked(wrong, now=NOW)  # type: ignore[arg-type]


def test_a_report_that_is_taken_back_may_be_empty() -> None:
    assert checked(content("cancelled", ""), now=NOW).findings == ""


@pytest.mark.parametrize(
    ("held", "sent", "expected"),
    [
        ("preliminary", content("final", minutes=1), Verdict.STORED),
        ("preliminary", content("preliminary", minutes=1), Verdict.STORED),
        ("preliminary", content("final", minutes=-1), Verdict.STALE),
        ("final", content("preliminary", minutes=1), Verdict.STALE),
        ("amended", content("preliminary", minutes=1), Verdict.STALE),
        ("cancelled", content("preliminary", minutes=1), Verdict.STALE),
        ("final", content("amended", minutes=0), Verdict.STORED),
        ("final", content("amended", minutes=-1), Verdict.STALE),
        ("final", content("cancelled", "", minutes=1), Verdict.STORED),
        ("cancelled", content("amended", minutes=1), Verdict.STORED),
        ("entered-in-error", content("final", minutes=1), Verdict.STALE),
    ],
)
def test_the_later_version_counts_unless_it_falls_back(
    held: str, sent: object, expected: Verdict
) -> None:
    known = Known(ReportStatus(held), AT, None, b"another")

    assert verdict(known, sent) == expected  # type: ignore[arg-type]


def test_the_senders_own_count_outweighs_its_clock() -> None:
    known = Known(ReportStatus.FINAL, AT, 2, b"another")

    assert verdict(known, content("amended", minutes=5, version=1)) == Verdict.STALE
    assert verdict(known, content("amended", minutes=-5, version=3)) == Verdict.STORED


def test_a_final_report_that_changes_a_final_one_is_an_amendment() -> None:
    assert status_after(ReportStatus.FINAL, ReportStatus.FINAL) == ReportStatus.AMENDED
    assert status_after(ReportStatus.AMENDED, ReportStatus.FINAL) == ReportStatus.AMENDED
    assert status_after(ReportStatus.PRELIMINARY, ReportStatus.FINAL) == ReportStatus.FINAL
    assert status_after(None, ReportStatus.FINAL) == ReportStatus.FINAL
