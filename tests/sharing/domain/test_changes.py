"""What changed between two versions, sentence by sentence."""

from __future__ import annotations

import pytest

from sharing.domain.changes import changes


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("未见异常。", "未见异常。", [("未见异常。", "")]),
        ("", "新。", [("新。", "added")]),
        ("旧。", "", [("旧。", "removed")]),
        (
            "两肺清晰。心影不大。",
            "两肺清晰。右肺结节，5mm。心影不大。",
            [("两肺清晰。", ""), ("右肺结节，5mm。", "added"), ("心影不大。", "")],
        ),
        (
            "No nodule. Heart normal.",
            "A nodule of 5.2 mm. Heart normal.",
            [("No nodule. ", "removed"), ("A nodule of 5.2 mm. ", "added"), ("Heart normal.", "")],
        ),
        ("一\n二", "一\n二\n三", [("一\n二\n", ""), ("三", "added")]),
    ],
)
def test_the_new_text_is_told_with_what_was_added_and_removed(
    old: str, new: str, expected: list[tuple[str, str]]
) -> None:
    assert [(each.text, each.kind) for each in changes(old, new)] == expected


def test_texts_of_very_many_sentences_are_told_side_by_side() -> None:
    old, new = "a。" * 3_000, "b。" * 3_000

    assert [each.kind for each in changes(old, new)] == ["removed", "added"]
