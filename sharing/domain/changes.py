"""What changed between two versions of a text, by sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

# A sentence with the sign that ends it; Chinese ones and Latin ones, and lines.
_SENTENCE = re.compile(r"(?:[^。；！？;!?.\n]|\.(?!\s))*(?:[。；！？;!?\n]+|\.\s+|$)")
_MOST_SENTENCES = 2_000


@dataclass(frozen=True)
class Piece:
    """A run of sentences: in both, only in the new text (``added``) or only in the old one (``removed``)."""

    text: str
    kind: str = ""


def changes(old: str, new: str) -> list[Piece]:
    """The new text with what was removed in its place; one piece where nothing changed."""
    if old == new:
        return [Piece(new)] if new else []
    before, after = _sentences(old), _sentences(new)
    if max(len(before), len(after)) > _MOST_SENTENCES:
        return [each for each in (Piece(old, "removed"), Piece(new, "added")) if each.text]
    return list(_compared(before, after))


def _compared(before: list[str], after: list[str]) -> Iterator[Piece]:
    # A sentence at the end of a text is the same with and without the line end behind it.
    matcher = SequenceMatcher(
        None, [_bare(each) for each in before], [_bare(each) for each in after], False
    )
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            yield Piece("".join(after[j1:j2]))
            continue
        if i2 > i1:
            yield Piece("".join(before[i1:i2]), "removed")
        if j2 > j1:
            yield Piece("".join(after[j1:j2]), "added")


def _sentences(text: str) -> list[str]:
    return [each for each in _SENTENCE.findall(text) if each]


def _bare(sentence: str) -> str:
    return sentence.strip()
