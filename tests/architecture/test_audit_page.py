"""The conformance page of audit messages says what the table of actions says."""

from __future__ import annotations

import re

from common.audit.actions import ACTIONS
from tests.architecture.test_docs import DOCS, first_cells, section

PAGE = (DOCS / "conformance" / "audit.md").read_text(encoding="utf-8")
EVENTS = section(PAGE, "Events")


def test_every_event_is_on_the_page_and_no_other() -> None:
    assert set(first_cells(EVENTS)) == {action.event.code.value for action in ACTIONS.values()}


def test_every_action_stands_beside_its_event_and_type() -> None:
    told = {}
    for line in EVENTS.splitlines():
        cells = line.split("|")[1:-1]
        if line.startswith("| `"):
            event, kind = (re.findall(r"`([^`]+)`", cells[at]) for at in (0, 2))
            told |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[3]), (event, kind))

    assert told == {
        code: ([each.event.code.value], [each.event.type.value] if each.event.type else [])
        for code, each in ACTIONS.items()
    }
