"""Series on their way in lie where nobody else on the machine reads them."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sharing.services import pulling
from sharing.services.transfers import Claim


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o755])
def test_the_spool_is_for_its_owner_alone(
    tmp_path: Path, settings: Any, before: int | None
) -> None:
    settings.DATA_DIR = tmp_path / "data"
    root = settings.DATA_DIR / "spool"
    if before is not None:
        root.mkdir(parents=True, mode=before)
    held = cast("Claim", SimpleNamespace(transfer_id=7, generation=1))

    with pulling._spool(held) as folder:
        modes = mode(root), mode(folder)

    assert modes == (0o700, 0o700)
    assert not folder.exists()
