"""The audit trail: ``audit.record(actor, "transfer.request", obj=study)``.

The functions are loaded on first use: their tables exist only after Django has loaded its applications, and
this package is imported while it does so.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.audit.directory import InstitutionNames, set_directory, set_subjects
    from common.audit.services import record, record_view

__all__ = ["InstitutionNames", "record", "record_view", "set_directory", "set_subjects"]

_HOMES = {
    "record": "common.audit.services",
    "record_view": "common.audit.services",
    "InstitutionNames": "common.audit.directory",
    "set_directory": "common.audit.directory",
    "set_subjects": "common.audit.directory",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
