"""Names made searchable: every way in which a person types one becomes a word of an array.

A name is found when all words of the query are among the words of the name, in any order. The same
word stands for pinyin, initials and Latin spelling, since the person who types does not say which.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise, product

# Only single characters are looked up: without the phrases, with the same readings, 44 MB less a process.
os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")

from pypinyin import Style, pinyin

MAX_GRAM_CHARACTERS = 64
MAX_GRAMS = 256
_MAX_READINGS = 24
_MAX_QUERY_CHARACTERS = 256
_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Kana and Hangul are searched by characters and pairs, as Han is.
_IDEOGRAPH = re.compile(f"[{_HAN}\u3040-\u30ff\uac00-\ud7af]+")
_HAN_ONLY = re.compile(f"[{_HAN}]+")
_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# A word that may be pinyin, of one syllable or several.
_PINYIN = re.compile(
    r"(?:(?:[zcs]h|[bpmfdtnlgkhjqxrzcsyw])?"
    r"(?:[iu]ang|iong|ueng|[aeio]ng|iao|[iuv]an|uai|[aeo]i|[ao]u|[aeiuv]n|i[aeu]|u[aoie]|ve|er|[aeiouv]))+"
)
_WRITTEN_ALIKE = (
    (re.compile("sch|sh|ch(?=[eiy])|c(?=[eiy])|z"), "s"),
    (re.compile("ph|v"), "f"),
    (re.compile("ck|ch|c|q|gh|g"), "k"),
    (re.compile("x"), "ks"),
    (re.compile("d"), "t"),
)


def name_grams(person_name: str) -> list[str]:
    """Words under which this PN value (with ``=`` and ``^``, several with a backslash) is found.

    Han characters and pairs; pinyin of every run of syllables, polyphonic ones in all readings;
    initials; Latin words; beginnings of the pinyin and of Latin words. At most ``MAX_GRAMS``.
    """
    found: dict[str, None] = {}
    for group in re.split(r"[=\\]", person_name):
        text = _plain(group)
        found.update(dict.fromkeys(_ideograph_grams("".join(_IDEOGRAPH.findall(text)))))
        found.update(dict.fromkeys(_latin_grams(_IDEOGRAPH.sub(" ", text))))
        found.update(dict.fromkeys(_sounds(text)))
    words = dict.fromkeys(gram[:MAX_GRAM_CHARACTERS] for gram in found)
    return list(islice(words, MAX_GRAMS))


def readable_name(person_name: str) -> str:
    """A PN value for readers: its ideographic group where there is one, without carets."""
    groups = person_name.split("=")
    chosen = groups[1] if len(groups) > 1 and groups[1].strip("^ ") else groups[0]
    joiner = "" if _IDEOGRAPH.search(chosen) else " "
    return joiner.join(part.strip() for part in chosen.split("^") if part.strip())


def han_readings(text: str) -> frozenset[str]:
    """How Han characters read, as pinyin without tones in one word; polyphonic ones in every way."""
    readings = [found for char in text[:4] if _HAN_ONLY.match(char) and (found := _readings(char))]
    return frozenset("".join(each) for each in product(*readings)) if readings else frozenset()


@dataclass(frozen=True)
class FullNames:
    """The whole name as it is written (Han, Latin letters), and as it is spoken (pinyin, or the Latin letters)."""

    written: frozenset[str]
    spoken: frozenset[str]


def full_names(person_name: str) -> FullNames:
    """Every whole spelling of a PN value; each of ``spoken`` is among its ``name_grams`` too."""
    written: set[str] = set()
    spoken: set[str] = set()
    for group in re.split(r"[=\\]", person_name):
        text = _plain(group)
        han = "".join(_IDEOGRAPH.findall(text))[:16]
        if han:
            written.add(han)
            readings = [
                found for char in han if _HAN_ONLY.match(char) and (found := _readings(char))
            ]
            if len(readings) > 1:
                spoken |= {"".join(each) for each in islice(product(*readings), _MAX_READINGS)}
        latin = "".join(_WORD.findall(_IDEOGRAPH.sub(" ", text))).lower()[:MAX_GRAM_CHARACTERS]
        if latin:
            written.add(latin)
            spoken.add(latin)
    return FullNames(frozenset(written), frozenset(spoken))


def query_grams(text: str) -> list[str]:
    """Words that a name must all have to be what was typed; empty where nothing was typed.

    Wildcards and punctuation separate words: a word finds names with words that begin so.
    """
    found: dict[str, None] = {}
    plain = _plain(text[:_MAX_QUERY_CHARACTERS])
    for run in _IDEOGRAPH.findall(plain):
        found.update(dict.fromkeys([run] if len(run) == 1 else _pairs(run)))
    for word in _WORD.findall(_IDEOGRAPH.sub(" ", plain)):
        found[word.lower()[:MAX_GRAM_CHARACTERS]] = None
    return list(found)


def sounding_like(text: str) -> list[tuple[list[str], list[str]]]:
    """For each word that was typed: the words a name must all have, or else one of those that sound like it."""
    plain = _plain(text[:_MAX_QUERY_CHARACTERS])
    found: list[tuple[list[str], list[str]]] = []
    for run in _IDEOGRAPH.findall(plain):
        words = [run] if len(run) == 1 else list(_pairs(run))
        found.append((words, list(_sounds_of_han(run))))
    for word in _WORD.findall(_IDEOGRAPH.sub(" ", plain)):
        found.append(([word.lower()[:MAX_GRAM_CHARACTERS]], [sound(word)]))
    return found


def sound(word: str) -> str:
    """What a Latin word sounds like, begun with ``~`` so that it is no word.

    Pinyin: zh, ch, sh as z, c, s; -ng as -n; l as n, which many do not tell apart. Other words: their
    consonants, those that are written in several ways as one (Smith, Smyth, Schmidt).
    """
    plain = word.lower()[:MAX_GRAM_CHARACTERS]
    if _PINYIN.fullmatch(plain):
        same = re.sub("(?<=[zcs])h", "", plain).replace("ng", "n").replace("l", "n")
        return f"~{same.replace('v', 'u')}"
    for written, one in _WRITTEN_ALIKE:
        plain = written.sub(one, plain)
    first, rest = plain[:1], re.sub("[aeiouyhw]", "", plain[1:])
    first = "a" if first in "aeiouy" else first
    return "~~" + re.sub(r"(.)\1+", r"\1", first + rest)


def _sounds(text: str) -> Iterator[str]:
    """How the words of one component group sound: family name, given name, the whole; each Latin word."""
    yield from _sounds_of_han("".join(_IDEOGRAPH.findall(text)), parts=True)
    components = [_WORD.findall(part) for part in _IDEOGRAPH.sub(" ", text).split("^")]
    yield from (sound(word) for words in components for word in words)
    family, given = ("".join(words) for words in (*components, [], [])[:2])
    if given:
        yield from (sound(given), sound(family + given))


def _sounds_of_han(run: str, *, parts: bool = False) -> Iterator[str]:
    """Of the whole run; with ``parts`` also of its first character, the family name, and of the rest."""
    readings = [found for char in run[:16] if _HAN_ONLY.match(char) and (found := _readings(char))]
    chosen = [readings, readings[:1], readings[1:]] if parts else [readings]
    for syllables in filter(None, chosen):
        for each in islice(product(*syllables), 8):
            yield sound("".join(each))


def _plain(text: str) -> str:
    """Full-width letters as usual ones, letters without accents and apostrophes (Xi'an, lü)."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return unicodedata.normalize("NFKC", re.sub(r"['’]", "", bare))


def _pairs(run: str) -> Iterator[str]:
    return (first + second for first, second in pairwise(run))


@lru_cache(maxsize=8192)
def _readings(character: str) -> tuple[str, ...]:
    """Every reading of a Han character without tones; ü as v, u and yu, as people type it."""
    found: dict[str, None] = {}
    for reading in pinyin(character, style=Style.NORMAL, heteronym=True, errors="ignore"):
        for syllable in reading:
            if "v" in syllable or "ü" in syllable:
                bare = syllable.replace("ü", "v")
                found.update(dict.fromkeys((bare, bare.replace("v", "u"), bare.replace("v", "yu"))))
            elif syllable.isascii():
                found[syllable] = None
    return tuple(found)


def _ideograph_grams(run: str) -> Iterator[str]:
    """``run``: all Han characters of one component group, family and given name together."""
    run = run[:16]
    yield from run
    yield from _pairs(run)
    readings = [found for char in run if _HAN_ONLY.match(char) and (found := _readings(char))]
    for syllables in readings:
        yield from syllables
    # Runs of two syllables and more, the whole name first: of an overlong list the rest is cut.
    for length in range(len(readings), 0, -1):
        for start in range(len(readings) - length + 1):
            chosen = list(islice(product(*readings[start : start + length]), _MAX_READINGS))
            for syllables in chosen:
                yield "".join(syllable[0] for syllable in syllables)
            if length > 1:
                yield from ("".join(syllables) for syllables in chosen)
    for syllables in islice(product(*readings), 2 if readings else 0):
        yield from _beginnings("".join(syllables))


def _beginnings(word: str) -> Iterator[str]:
    return (word[:size] for size in range(len(word), 0, -1))


def _latin_grams(text: str) -> Iterator[str]:
    components = [
        [part.lower() for part in _WORD.findall(_CAMEL.sub(" ", component))]
        for component in text.split("^")
    ]
    # Whole too, as they are typed: McDonald is Mc and Donald, and mcdonald.
    for word in _WORD.findall(text):
        yield from _beginnings(word.lower()[:MAX_GRAM_CHARACTERS])
    for words in components:
        for word in words:
            yield from _beginnings(word[:MAX_GRAM_CHARACTERS])
        if len(words) > 1:  # XiaoMing, Xiao Ming: found as xiaoming too
            yield from _beginnings("".join(words)[:MAX_GRAM_CHARACTERS])
    family, given = ("".join(words) for words in (*components, [], [])[:2])
    if family and given:
        yield from _beginnings((family + given)[:MAX_GRAM_CHARACTERS])
        yield (given + family)[:MAX_GRAM_CHARACTERS]
