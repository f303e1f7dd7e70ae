"""The main navigation: each module adds its own entries, so the base page knows none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True)
class Entry:
    """One link of the main navigation, shown to those for whom ``visible`` says so."""

    route: str
    label: Any  # a lazy translation: said in the reader's language
    order: int
    visible: Callable[[HttpRequest], bool]
    # What waits there for this reader; 0 shows no number.
    count: Callable[[HttpRequest], int] | None = None


@dataclass(frozen=True)
class Link:
    """An entry as it is shown on one page."""

    url: str
    label: Any
    current: bool
    count: int = 0


_entries: dict[str, Entry] = {}


def add(entry: Entry) -> None:
    """Announce an entry; announcing the same route again replaces it."""
    _entries[entry.route] = entry


def links(request: HttpRequest) -> list[Link]:
    """The entries this reader gets, in order, with the one of the current page marked."""
    shown = sorted(_entries.values(), key=lambda entry: entry.order)
    urls = [(reverse(entry.route), entry) for entry in shown if entry.visible(request)]
    here = max((url for url, _ in urls if request.path.startswith(url)), key=len, default="")
    if here == "/" and request.path != "/":
        here = ""
    return [
        Link(
            url=url,
            label=entry.label,
            current=url == here,
            count=entry.count(request) if entry.count else 0,
        )
        for url, entry in urls
    ]
