"""The layout of the repository (docs/adr/0001)."""

from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_platform_is_a_source_root_and_not_a_package() -> None:
    assert (ROOT / "platform" / "config").is_dir()
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_import_platform_is_the_standard_librarys() -> None:
    assert platform.python_version() == sys.version.split()[0]
    assert Path(platform.__file__).parent == Path(sysconfig.get_path("stdlib"))


def test_import_platform_is_the_standard_librarys_from_the_root_of_the_repository() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import platform; print(platform.python_version())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.strip() == sys.version.split()[0]


def test_every_module_says_what_it_owns() -> None:
    for module in ("platform", "hospitals", "sharing", "recognition", "billing"):
        assert (ROOT / module / "README.md").is_file(), module
