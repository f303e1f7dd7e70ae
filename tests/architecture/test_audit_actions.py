"""Every action that the code writes into the audit has words and a place among the events of PS3.15."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation import override

from common.audit.actions import ACTIONS

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for module in ("platform", "hospitals", "sharing", "recognition", "billing")
    for path in sorted((ROOT / module).rglob("*.py"))
]
_WRITES = re.compile(r"_?(record|record_view|record_refusal|note_refusal)")
_ACTION = re.compile(r"[a-z0-9-]+(\.[a-z0-9_-]+)+|log(in|out)")
# Where the action is put together: the file, and what may come out.
COMPOSED = {
    "hospitals/services/institutions.py": {
        f"institution.{state}" for state in ("onboarding", "active", "suspended", "left")
    },
    "sharing/dicomweb/trail.py": {"dicomweb.view", "dicomweb.retrieve"},
    "sharing/api/access.py": {"encounter.list", "consent.list"},
    "sharing/services/hl7/intake.py": {"hl7.done", "hl7.ignored"},
    "sharing/services/consulting/rows.py": {
        f"consultation.{verb}"
        for verb in (
            "ask", "accept", "decline", "forward", "write", "sign", "amend", "closed", "withdrawn",
            "declined", "expired",
        )
    },
}  # fmt: skip


def arguments_of(call: ast.Call) -> Iterator[ast.expr]:
    """The second argument, or the one named ``action``; both sides of a choice."""
    given = list(call.args[1:2]) + [k.value for k in call.keywords if k.arg == "action"]
    for each in given:
        yield from (each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,)


def written() -> Iterator[tuple[str, ast.expr]]:
    """File and action of every call that writes into the trail."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if _WRITES.fullmatch(name):
                for argument in arguments_of(node):
                    yield str(path.relative_to(ROOT)), argument


WRITTEN = list(written())
LITERAL = sorted(
    {
        (path, argument.value)
        for path, argument in WRITTEN
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and _ACTION.fullmatch(argument.value)
    }
)


def test_the_search_sees_the_code() -> None:
    found = {action for _, action in LITERAL}

    assert {"study.view", "login", "membership.grant", "consent.give", "study.delete"} <= found


@pytest.mark.parametrize(("path", "action"), LITERAL)
def test_every_action_that_is_written_has_words_and_an_event(path: str, action: str) -> None:
    assert action in ACTIONS, f"{path} writes {action}: add it to common/audit/actions.py"


def test_every_action_that_is_put_together_is_known_too() -> None:
    composed = {path for path, argument in WRITTEN if isinstance(argument, ast.JoinedStr)}

    assert composed == COMPOSED.keys()
    assert set().union(*COMPOSED.values()) <= ACTIONS.keys()


def test_an_action_is_named_once_and_in_chinese_too() -> None:
    from common.audit.actions import _ALL

    codes = [action.code for action in _ALL]
    with override("zh-hans"):
        english = [action.code for action in _ALL if str(action.label).isascii()]

    assert len(codes) == len(set(codes))
    assert english == []
