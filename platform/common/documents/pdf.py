"""The text of a PDF, read in a process of its own: a document from outside may be made to harm its reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from common import logs

log = logs.get_logger(__name__)

MOST_BYTES = 64 * 2**20
MOST_CHARACTERS = 32_000
_MEMORY_BYTES = 512 * 2**20
_TIME_S = 20
_WORKER = Path(__file__).with_name("pdf_worker.py")


def text_of_pdf(data: bytes) -> str:
    """What can be read of it, at most ``MOST_CHARACTERS``; empty for a scan, and for what is no sound PDF.

    The process gets no setting, no secret and no file, has a limit of memory and time, and ends with the document.
    """
    if len(data) > MOST_BYTES:
        return ""
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                str(_WORKER),
                str(_MEMORY_BYTES),
                str(_TIME_S),
                str(MOST_CHARACTERS),
            ],
            input=data,
            capture_output=True,
            timeout=_TIME_S + 10,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        log.warning("pdf.unreadable", reason="time")
        return ""
    if done.returncode:
        # No text of the document goes into the log, and neither does what the library says of it.
        log.warning("pdf.unreadable", reason="refused", code=done.returncode)
        return ""
    return done.stdout.decode("utf-8", "replace")[:MOST_CHARACTERS]
