"""The mark of a view that strangers may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


def public(view: View) -> View:
    """Open a view to strangers: ``@public`` on a function, or on the result of ``as_view()``."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def is_public(view: Callable[..., Any]) -> bool:
    """Whether the view is marked. A class may also say ``is_public = True``."""
    for holder in (view, getattr(view, "view_class", None), getattr(view, "cls", None)):
        if getattr(holder, "is_public", False):
            return True
    return False
