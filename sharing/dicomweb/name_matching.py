"""Person names as SQL (PS3.4 §C.2.2.2.1 to .4), with our own extension and fuzzy matching.

* The standard's: literal or by wildcard, in any component group, or in each where the value has several; without
  regard to letter case and to trailing delimiters. ``fuzzymatching=false`` asks for this alone.
* Our extension, where nothing is said: a bare word or words (no ``^``, no ``=``, stars at the ends only) also find
  names that have them, or begin with them, as Han characters, pinyin, initials or Latin words.
* ``fuzzymatching=true``: words in any order, without accents, or sounding alike (§8.3.4.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from common.dicom.names import query_grams, sounding_like
from sharing.dicomweb.frequency import share_of
from sharing.dicomweb.matching import (
    ALWAYS,
    Condition,
    all_of,
    any_of,
    grams_of,
    has_grams,
    has_wildcard,
    like,
    listed,
)

_GROUPS = (1, 2, 3)
# What stands straight after a wildcard may be within a word, and only beginnings are looked up.
_WITHIN_WORD = re.compile(r"(?<=[*?])[^\s^=*?\u2e80-\U0003ffff]+")


def patient_name(value: str, *, fuzzy: bool | None) -> Condition:
    """Patient's Name, which has search words (``common.dicom.names``)."""
    return any_of(_patient_name(each, fuzzy) for each in listed(value))


def person_name(column: str, value: str, *, fuzzy: bool | None) -> Condition:
    """Another name, without search words: fuzzy is words in any order."""
    return any_of(_person_name(column, each, fuzzy) for each in listed(value))


def _patient_name(value: str, fuzzy: bool | None) -> Condition:
    value = value.strip().rstrip("^=")
    if value.strip("*") == "":
        return ALWAYS
    words = query_grams(_WITHIN_WORD.sub(" ", value))
    standard = _standard("{s}.patient_name", value, words)
    if fuzzy is False:
        return standard
    if fuzzy:
        return any_of(each for each in (standard, _sounding(value)) if each is not ALWAYS)
    typed = query_grams(value)
    if not typed or not _is_bare(value):
        return standard
    extension = _has_words(typed)
    # Whatever matches to the letter from a word's beginning has its words too.
    return extension if words == typed else any_of([standard, extension])


def _person_name(column: str, value: str, fuzzy: bool | None) -> Condition:
    value = value.strip().rstrip("^=")
    if value.strip("*") == "":
        return ALWAYS
    standard = _standard(column, value, [])
    words = re.findall(r"[^\W_]+", value)
    if not fuzzy or not words:
        return standard
    return any_of([standard, all_of(_anywhere(column, each) for each in words)])


def _anywhere(column: str, word: str) -> Condition:
    parts = grams_of(word)
    said = Condition(f"coalesce(lower({column}) LIKE lower(%s), FALSE)", (f"%{like(word)}%",))
    return all_of([has_grams(column, parts), said]) if parts else said


def _is_bare(value: str) -> bool:
    return not has_wildcard(value.strip("*")) and "^" not in value and "=" not in value


def _standard(column: str, value: str, words: Sequence[str]) -> Condition:
    """The match itself, after what can be looked up: words of the name, else parts of its text."""
    groups = value.split("=")[: len(_GROUPS)]
    if len(groups) == 1:
        matches = " OR ".join(_group(column, number) for number in _GROUPS)
        patterns = [_pattern(value)] * len(_GROUPS)
    else:
        given = [
            (number, each)
            for number, each in zip(_GROUPS, groups, strict=False)
            if each.strip("*^ ")
        ]
        if not given:
            return ALWAYS
        matches = " AND ".join(_group(column, number) for number, _ in given)
        patterns = [_pattern(each) for _, each in given]
    recheck = Condition(f"coalesce({matches}, FALSE)", tuple(patterns))
    if words:
        return all_of([_has_words(words), recheck])
    if parts := grams_of(re.sub(r"[=^]+", "*", value)):
        return all_of([has_grams(column, parts), recheck])
    return recheck


def _group(column: str, number: int) -> str:
    return f"ltrim(rtrim(split_part(lower({column}), '=', {number}), '^ ')) LIKE lower(%s)"


def _pattern(group: str) -> str:
    return like(group.strip().rstrip("^ "))


def _has_words(words: Sequence[str]) -> Condition:
    share = share_of("name_grams", words)
    return Condition("{s}.name_grams @> %s::varchar[]", (list(words),), True, share)


def _has_sound(sounds: Sequence[str]) -> Condition:
    share = min(1.0, sum(share_of("name_grams", [each]) for each in sounds))
    return Condition("{s}.name_grams && %s::varchar[]", (list(sounds),), True, share)


def _sounding(value: str) -> Condition:
    """Each word is one of the name's, or sounds like one."""
    return all_of(
        any_of([_has_words(words), _has_sound(sounds)]) if sounds else _has_words(words)
        for words, sounds in sounding_like(value)
    )
