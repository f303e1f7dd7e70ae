"""Slots on a page, filled from above: a hospital's page shows transfers it may not import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

Context = Callable[[HttpRequest, Any], dict[str, Any] | None]


@dataclass(frozen=True)
class Panel:
    """A part of a page. ``context`` answers None where this reader gets nothing."""

    slot: str
    name: str
    order: int
    template: str
    context: Context
    in_launch: bool = False  # also in a view of one patient inside of another system: it only shows


_panels: dict[tuple[str, str], Panel] = {}


def add(panel: Panel) -> None:
    """Announce a panel; announcing the same slot and name again replaces it."""
    _panels[panel.slot, panel.name] = panel


def render(slot: str, *, request: HttpRequest, subject: Any) -> list[SafeString]:
    """Every panel of a slot that this reader gets, rendered, in order."""
    panels = sorted(
        (
            panel
            for panel in _panels.values()
            if panel.slot == slot and (panel.in_launch or not getattr(request, "launch", None))
        ),
        key=lambda panel: panel.order,
    )
    contexts = [(panel, panel.context(request, subject)) for panel in panels]
    return [
        render_to_string(panel.template, context, request=request)
        for panel, context in contexts
        if context is not None
    ]
