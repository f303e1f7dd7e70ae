"""DICOM person names as FHIR HumanName, and searches for them."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Q

from common.dicom.names import query_grams
from common.fhir.values import NOTHING, clean, plain

_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS = ("ABC", "IDE", "SYL")  # alphabetic, ideographic, phonetic (PS3.5 §6.2.1.1)


def human_names(person_name: str) -> list[dict[str, Any]]:
    """One HumanName per component group of the first name, each with its way of writing."""
    groups = person_name.split("\\")[0].split("=")
    return [
        _human_name(group, code)
        for group, code in zip(groups, _GROUPS, strict=False)
        if group.strip("^ ")
    ]


def _human_name(group: str, code: str) -> dict[str, Any]:
    parts = [clean(each) for each in group.split("^")] + [""] * 5
    family, given, middle, prefix, suffix = parts[:5]
    joint = "" if code == "IDE" else " "
    name: dict[str, Any] = {
        "extension": [{"url": _REPRESENTATION, "valueCode": code}],
        "use": "official",
        "text": joint.join(filter(None, (prefix, family, given, middle, suffix))),
    }
    if family:
        name["family"] = family
    for key, values in (("given", (given, middle)), ("prefix", (prefix,)), ("suffix", (suffix,))):
        if present := [each for each in values if each]:
            name[key] = present
    return name


def name_condition(value: str, modifier: str) -> Q:
    """Any part of the name, by its beginning: Han characters, pinyin, initials, Latin letters.

    ``:exact`` is one component group as a whole, in the text that HumanName has or with its ``^``.
    """
    asked = plain(value)
    grams = query_grams(asked)
    if not grams:
        return NOTHING
    known = Q(name_grams__contains=grams)
    if modifier == "exact":
        return known & Q(patient_name__regex=rf"(^|=){_whole(asked)}\^*(=|$)")
    return known


def family_condition(value: str, modifier: str) -> Q:
    """The family name of any component group, by its beginning or ``:exact``."""
    return _component(value, modifier, "(^|=)")


def given_condition(value: str, modifier: str) -> Q:
    """A given or middle name of any component group, by its beginning or ``:exact``."""
    return _component(value, modifier, r"(^|=)[^=^]*\^([^=^]*\^)?")


def _component(value: str, modifier: str, before: str) -> Q:
    asked = plain(value)
    grams = query_grams(asked)
    if not grams:
        return NOTHING
    # The index of words finds the few rows on which the pattern is then tried.
    known = Q(name_grams__contains=grams)
    if modifier == "exact":
        return known & Q(patient_name__regex=rf"{before}{_pattern(asked)}(\^|=|$)")
    return known & Q(patient_name__iregex=f"{before}{_pattern(asked)}")


def _pattern(asked: str) -> str:
    """Every sign as itself in PostgreSQL's regular expressions."""
    return re.sub(
        r"([^\w]|_)", lambda sign: rf"\{sign[0]}" if ord(sign[0]) < 128 else sign[0], asked
    )


def _whole(text: str) -> str:
    """The text of a name over its components: blanks, or nothing between Han characters, where ``^`` stands."""
    return "".join(
        r"[ ^]" if sign == " " else _pattern(sign) + (r"\^?" if ord(sign) > 127 else "")
        for sign in text
    )
