"""Places on local disk for what is on its way into the archive; nobody else may read them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

from django.conf import settings

from sharing.errors import SpoolFailed


def _root() -> Path:
    root = settings.DATA_DIR / "spool"
    try:
        found = root.stat()
    except FileNotFoundError:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.stat()
    if stat.S_IMODE(found.st_mode) != 0o700 and found.st_uid == os.getuid():
        root.chmod(0o700)  # an older release made it for all to read
    return Path(root)


def spool_file(name: str) -> Path:
    """Where a file of one's own may lie; whoever writes it removes it, ``sweep`` what a crash left.

    Raises:
        SpoolFailed: the local disk takes none.
    """
    try:
        return _root() / f"{name}-{uuid4().hex}"
    except OSError as error:
        raise SpoolFailed(f"The local disk takes no spool: {error.strerror}.") from error


@contextmanager
def spool_folder(name: str) -> Iterator[Path]:
    """A folder of one's own, removed at the end; ``sweep`` removes what a crash left.

    Raises:
        SpoolFailed: the local disk takes none.
    """
    try:
        folder = Path(mkdtemp(prefix=f"{name}-", dir=_root()))
    except OSError as error:
        raise SpoolFailed(f"The local disk takes no spool: {error.strerror}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
