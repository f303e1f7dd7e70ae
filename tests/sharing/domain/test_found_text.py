"""Terms out of what was typed, and the surroundings of a hit."""

from __future__ import annotations

import pytest

from sharing.domain.found_text import excerpt, terms_of


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        ("结节", ["结节"]),
        ("  右肺   结节 右肺", ["右肺", "结节"]),
        ("ＣＴ 8ｍｍ", ["ct", "8mm"]),
        ("a 癌", ["a", "癌"]),
        ("\x00ab", ["ab"]),
        ("a b c", []),
        ("x" * 100, ["x" * 64]),
        (" ".join(f"w{n}" for n in range(20)), [f"w{n}" for n in range(8)]),
    ],
)
def test_what_is_typed_becomes_terms(typed: str, terms: list[str]) -> None:
    assert terms_of(typed) == terms


def test_a_hit_is_told_with_its_surroundings_and_every_hit_in_it() -> None:
    text = "前" * 100 + "右肺结节，左肺结节。" + "后" * 300

    spans = excerpt(["", text], ["结节"])

    assert [each.text for each in spans if each.hit] == ["结节", "结节"]
    assert spans[0].text.startswith("…")
    assert spans[-1].text.endswith("…")
    assert len("".join(each.text for each in spans)) < 260


def test_a_text_without_a_hit_is_told_from_its_beginning() -> None:
    assert [(each.text, each.hit) for each in excerpt(["", "findings"], ["x"])] == [
        ("findings", False)
    ]
    assert excerpt(["", ""], ["x"]) == []


def test_a_term_is_looked_for_as_it_is_written() -> None:
    (before, hit) = excerpt(["size (8.5) mm", ""], ["mm"])

    assert (before.text, hit.text) == ("size (8.5) ", "mm")
    assert [each.text for each in excerpt(["axb a.b"], ["a.b"]) if each.hit] == ["a.b"]
