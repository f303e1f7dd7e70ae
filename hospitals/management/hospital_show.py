"""Institutions and probes as tables for people and as JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.utils import timezone
from rich.markup import escape
from rich.table import Table

from hospitals.selectors import HealthRow, ProbeView


def as_json(facts: Any) -> str:
    """JSON with readable Chinese."""
    return json.dumps(facts, ensure_ascii=False, indent=2, default=str)


def row_facts(row: HealthRow) -> dict[str, Any]:
    """One institution for programs."""
    return asdict(row) | {"probe": probe_facts(row.probe) if row.probe else None}


def probe_facts(view: ProbeView) -> dict[str, Any]:
    """One probe for programs."""
    return asdict(view) | {"abilities": view.abilities.to_json()}


def overview_table(rows: Sequence[HealthRow]) -> Table:
    """All institutions, one line each."""
    table = Table(title=f"{len(rows)} institutions")
    for heading in ("Code", "Name", "State", "Kind", "Address", "Last success", "Last error"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        state = f"{row.state} (left alone)" if row.circuit_open else row.state
        error = f"{row.last_error_code} {_when(row.last_error_at)}" if row.last_error_code else "-"
        cells = [row.code, row.name, state, row.endpoint_kind or "-", row.address or "-"]
        table.add_row(*(escape(cell) for cell in [*cells, _when(row.last_success_at), error]))
    return table


def probe_table(code: str, view: ProbeView) -> Table:
    """One probe, ability by ability."""
    table = Table(title=f"{code}, {_when(view.at)}, {view.duration_ms} ms", show_header=False)
    for name, value in [("reachable", view.reachable), *view.abilities.to_json().items()]:
        if value not in (None, "", (), [], {}):
            table.add_row(name, escape(_words(value)))
        elif value is None and not name.startswith(("files", "broken")):
            table.add_row(name, "not measured")
    if view.error_text:
        table.add_row("error", escape(view.error_text))
    return table


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    if isinstance(value, (list, tuple)):
        return "\n".join(
            ": ".join(map(str, x)) if isinstance(x, (list, tuple)) else str(x) for x in value
        )
    return str(value)


def _when(instant: dt.datetime | None) -> str:
    return f"{timezone.localtime(instant):%Y-%m-%d %H:%M:%S}" if instant else "-"
