"""The mark of a view that changes nothing, whatever the method: a search that is sent by POST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def only_reads(view: Callable[..., Any]) -> bool:
    """Whether the view's class says ``only_reads = True``: tokens for reading may use all of its methods."""
    return bool(getattr(getattr(view, "view_class", None), "only_reads", False))
