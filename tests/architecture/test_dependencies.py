"""Each dependency has its reason, and the lists are locked without naming an index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["embedded"]]


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match.group()).lower()


def locked(lock: str) -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        match = re.match(r"([a-z0-9._-]+)==(\S+)", line)
        if match:
            pins.setdefault(name_of(match.group(1)), set()).add(match.group(2))
    return pins


@pytest.mark.parametrize("requirement", RUNTIME)
def test_a_dependency_has_its_reason_beside_it(requirement: str) -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()

    line = next(line for line in lines if f'"{requirement}"' in line)

    assert re.search(r'",\s+# \S+', line), line


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert not re.search(r"https?://|file:|--index|--find-links|--extra-index", text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text(encoding="utf-8"))
    packages = [block for block in blocks if re.match(r"[a-z0-9._-]+==", block)]

    assert packages
    assert [block.split()[0] for block in packages if "--hash=sha256:" not in block] == []


def test_the_lock_holds_every_dependency() -> None:
    missing = {name_of(requirement) for requirement in RUNTIME} - set(locked("requirements.lock"))

    assert missing == set()


def test_tests_run_on_the_versions_that_are_installed_for_use() -> None:
    development = locked("requirements-dev.lock")

    differing = {
        name: versions
        for name, versions in locked("requirements.lock").items()
        if development.get(name) != versions
    }

    assert differing == {}
