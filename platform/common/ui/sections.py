"""The pages about one institution, as tabs: each module adds its own, so that none needs to know the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from common.ui.navigation import Link


@dataclass(frozen=True)
class Section:
    """One tab. Its route takes the institution's code; ``visible`` is asked with the institution's number."""

    route: str
    label: Any  # a lazy translation: said in the reader's language
    order: int
    visible: Callable[[HttpRequest, int], bool]


_sections: dict[str, Section] = {}


def add(section: Section) -> None:
    """Announce a tab; announcing the same route again replaces it."""
    _sections[section.route] = section


def links(request: HttpRequest, *, code: str, institution_id: int) -> list[Link]:
    """The tabs this reader gets, in order, with the one of the current page marked; none where it is one alone."""
    shown = sorted(_sections.values(), key=lambda section: section.order)
    urls = [
        (reverse(section.route, args=[code]), section)
        for section in shown
        if section.visible(request, institution_id)
    ]
    here = max((url for url, _ in urls if request.path.startswith(url)), key=len, default="")
    found = [Link(url=url, label=each.label, current=url == here) for url, each in urls]
    return found if len(found) > 1 else []
