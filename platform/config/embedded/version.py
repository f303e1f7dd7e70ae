"""Refuses a database that a newer version has migrated: this one would write it without knowing its rules."""

from __future__ import annotations

from pathlib import Path

from config.embedded.console import Refusal
from config.embedded.datadir import DataDir, write_private


def own_migrations(root: Path) -> set[str]:
    """``app.name`` of every migration in the two source roots."""
    return {
        f"{path.parents[1].relative_to(root).as_posix()}.{path.stem}"
        for top in (root, root / "platform" / "common")
        for path in top.glob("*/migrations/[0-9]*.py")
    }


def refuse_newer(directory: DataDir, root: Path) -> None:
    """Compare with what was recorded after the last migration.

    Raises:
        Refusal: the record names migrations that this version does not have.
    """
    path = directory.path / "migrations"
    if not path.is_file():
        return
    unknown = sorted(set(path.read_text(encoding="utf-8").split()) - own_migrations(root))
    if unknown:
        raise Refusal(
            f"{directory.path} was used by a newer version: its database has {', '.join(unknown)}, which "
            "this version does not know. Use that version, or another directory with --data DIR."
        )


def remember(directory: DataDir, root: Path) -> None:
    write_private(directory.path / "migrations", "\n".join(sorted(own_migrations(root))) + "\n")
