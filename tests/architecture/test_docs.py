"""The pages say what the code does: every setting, command, code and decision, and none that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.core.management.base import BaseCommand

from common.dicomweb.errors import MalformedMultipart, OriginError
from common.errors import DomainError
from hospitals.management.commands.hospital import Command as HospitalCommand
from hospitals.management.commands.member import Command as MemberCommand
from sharing.models import Quarantined

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPERATORS = (DOCS / "operators.md").read_text(encoding="utf-8")
OWN_APPS = ("common.", "config", "hospitals", "sharing", "recognition", "billing")
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *DOCS.rglob("*.md"))
    if not path.is_relative_to(ROOT / ".venv")
)


def section(text: str, heading: str) -> str:
    """From a heading to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"no heading {heading!r}"
    return found[1]


def first_cells(table: str) -> list[str]:
    """Every word in backticks of the first column."""
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def settings_of_code() -> set[str]:
    """The first argument of every ``get("NAME", …)`` in config/env.py and what it reads more."""
    sources = sorted((ROOT / "platform" / "config").glob("env*.py"))
    found = set()
    for node in (
        node
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    ):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name == "get" and re.fullmatch(r"[A-Z][A-Z_]+", str(node.args[0].value)):
                found.add(str(node.args[0].value))
    return found


def subclasses(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def test_the_table_of_settings_is_that_of_the_environment() -> None:
    names = settings_of_code()

    assert {"DATABASE_URL", "IMAGING_DATA_DIR", "PULL_LEASE_S"} <= names  # the search still works
    assert set(first_cells(section(OPERATORS, "Settings"))) == names


def test_every_command_of_ours_is_on_the_page_for_operators() -> None:
    own = {name for name, app in get_commands().items() if app.startswith(OWN_APPS)}

    assert {"pull", "hospital", "up"} <= own
    assert {name for name in own if f"manage.py {name}" not in OPERATORS} == set()


def test_every_command_that_a_page_names_exists() -> None:
    known = set(get_commands())
    named = {
        (path.name, word)
        for path in PAGES
        for word in re.findall(r"manage\.py ([a-z_0-9]+)", path.read_text(encoding="utf-8"))
    }

    assert {pair for pair in named if pair[1] not in known} == set()


@pytest.mark.parametrize(
    ("name", "command"), [("hospital", HospitalCommand()), ("member", MemberCommand())]
)
def test_every_verb_of_a_command_is_explained(name: str, command: BaseCommand) -> None:
    parser = command.create_parser("manage.py", name)
    groups = [each.choices for each in parser._actions if isinstance(each.choices, Mapping)]
    verbs = {verb for group in groups for verb in group}

    assert {"add", "list"} <= verbs
    assert {verb for verb in verbs if f"manage.py {name} {verb}" not in OPERATORS} == set()


def test_every_error_of_a_hospital_is_explained() -> None:
    explained = set(first_cells(section(OPERATORS, "What the codes mean")))
    codes = {kind.code for kind in (*subclasses(OriginError), MalformedMultipart)}

    assert codes - explained == set()
    assert set(Quarantined.Reason.values) - explained == set()


def test_every_decision_is_in_the_list_and_the_list_has_no_other() -> None:
    listed = re.findall(r"\]\(([^)]+)\)", (DOCS / "adr" / "README.md").read_text(encoding="utf-8"))
    files = sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))

    assert listed == files
    assert [name[:4] for name in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]


@pytest.mark.parametrize("path", sorted((DOCS / "adr").glob("[0-9]*.md")), ids=lambda p: p.stem)
def test_a_decision_says_context_decision_rejected_and_consequences(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.startswith(f"# {path.name[:4]}: ")
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.M) == [
        "Context",
        "Decision",
        "Rejected",
        "Consequences",
    ]


def links() -> list[tuple[Path, str]]:
    return [
        (path, target)
        for path in PAGES
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
        if "://" not in target
    ]


def test_every_link_and_picture_is_there() -> None:
    assert [
        (str(path.relative_to(ROOT)), target)
        for path, target in links()
        if not (path.parent / target).exists()
    ] == []


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "screenshots").iterdir())

    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 300_000] == []
