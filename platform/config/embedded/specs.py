"""What to start: one description for every child process."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.embedded.processes import Step

TERMINATE = (Step(signal.SIGTERM, 10),)


@dataclass(frozen=True)
class ChildSpec:
    """One process: how it starts, how it is asked to stop, and whether it is started again."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None  # None: the environment of the other children
    cwd: Path | None = None
    stop: Sequence[Step] = TERMINATE
    restart: bool = True  # False: it does one thing and ends
    is_service: bool = False  # others work with it: stopped when they have stopped
    popen_options: Mapping[str, object] = field(default_factory=dict)
