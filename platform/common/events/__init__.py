"""Events through the outbox: ``publish(StudyBecameRetrievable(study_id=7))``, heard by ``@subscribe`` handlers.

``publish`` and the like are loaded on first use: their tables exist only after Django has loaded its applications,
and this package is imported while it does so.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from common.events.registry import Event, subscribe

if TYPE_CHECKING:
    from common.events.services import discard_parked, publish, retry_parked

__all__ = ["Event", "discard_parked", "publish", "retry_parked", "subscribe"]


def __getattr__(name: str) -> Any:
    if name not in {"publish", "retry_parked", "discard_parked"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("common.events.services"), name)
