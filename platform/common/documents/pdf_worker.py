"""Run by ``pdf.text_of_pdf``: a PDF on standard input, its text on standard output. Imports nothing of ours."""

from __future__ import annotations

import io
import logging
import resource
import signal
import sys

_MOST_PAGES = 200


def main() -> int:
    memory_bytes, time_s, most = (int(each) for each in sys.argv[1:4])
    logging.disable(logging.CRITICAL)  # the library tells what it meets in the document
    from pypdf import PdfReader  # before the limit: the library itself is not what is bounded

    data = sys.stdin.buffer.read()
    _limit(memory_bytes, time_s)
    try:
        text = _read(PdfReader(io.BytesIO(data)), most)
    except Exception:  # noqa: BLE001 - a library raises what it likes on bytes from outside
        return 1
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    return 0


def _read(reader: object, most: int) -> str:
    found: list[str] = []
    length = 0
    for number, page in enumerate(reader.pages):  # type: ignore[attr-defined]
        if number >= _MOST_PAGES or length >= most:
            break
        found.append(page.extract_text())
        length += len(found[-1])
    return "\n".join(found)[:most]


def _limit(memory_bytes: int, time_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (time_s, time_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Its default action ends the process, in the middle of anything.
    signal.setitimer(signal.ITIMER_REAL, time_s)


if __name__ == "__main__":
    sys.exit(main())
