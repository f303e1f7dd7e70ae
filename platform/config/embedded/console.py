"""What the person at the terminal is told."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path


class Refusal(Exception):
    """The command cannot go on; the text says why and what to do."""


def say(text: str = "") -> None:
    """One line, at once, whether the output is a terminal, a file or a closed pipe."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (``up | head``): the services go on, only the words are lost.
        sys.stdout = Path("/dev/null").open("w", encoding="utf-8")  # noqa: SIM115  # lives on


def tail(path: Path, *, lines: int = 20) -> str:
    """The end of a log, indented, for an error message."""
    if not path.is_file():
        return f"  (no log at {path})"
    with path.open("rb") as log:
        log.seek(0, 2)
        log.seek(max(0, log.tell() - 64 * 1024))
        text = log.read().decode("utf-8", errors="replace")
    return indent(text.splitlines()[-lines:])


def indent(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
