"""Words looked for in texts: what was typed as terms, and where a text has them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MOST_TERMS, MOST_LETTERS = 8, 64
_AROUND = 60


@dataclass(frozen=True)
class Span:
    """A piece of a text; ``hit``: it is what was looked for."""

    text: str
    hit: bool = False


def terms_of(typed: str) -> list[str]:
    """The terms that a text must all have, in the form in which texts are searched; without those that find nothing.

    A single Latin letter or digit alone stands in every text: nothing is looked for then.
    """
    words = unicodedata.normalize("NFKC", typed).lower().replace("\x00", "").split()
    if not any(len(word) > 1 or not word.isascii() for word in words):
        return []
    return list(dict.fromkeys(word[:MOST_LETTERS] for word in words))[:MOST_TERMS]


def excerpt(texts: Sequence[str], terms: Sequence[str]) -> list[Span]:
    """The surroundings of the first hit in the first text that has one, with every hit in it; else a beginning."""
    pattern = (
        re.compile("|".join(re.escape(each) for each in terms), re.IGNORECASE) if terms else None
    )
    for text in texts:
        flat = " ".join(text.split())
        hit = pattern.search(flat) if pattern else None
        if hit and pattern:
            start, end = max(0, hit.start() - _AROUND), hit.end() + 2 * _AROUND
            cut = ("…" if start else "") + flat[start:end] + ("…" if end < len(flat) else "")
            return _marked(cut, pattern)
    flat = " ".join(next((each for each in texts if each), "").split())
    return [Span(flat[: 3 * _AROUND] + ("…" if len(flat) > 3 * _AROUND else ""))] if flat else []


def _marked(text: str, pattern: re.Pattern[str]) -> list[Span]:
    found: list[Span] = []
    at = 0
    for hit in pattern.finditer(text):
        if hit.start() > at:
            found.append(Span(text[at : hit.start()]))
        found.append(Span(hit[0], hit=True))
        at = hit.end()
    if at < len(text):
        found.append(Span(text[at:]))
    return found
